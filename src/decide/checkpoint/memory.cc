// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/strings.h"

namespace pelton::decide::checkpoint {
namespace {

constexpr std::string_view kPrefix = "step-", kInfix = "-g";
constexpr uint64_t kMostWriters = 100'000;

std::optional<int64_t> number_of(std::string_view text) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  const auto number = base::parse_int(text);
  if (!number.ok()) return std::nullopt;
  return *number;
}

}  // namespace

bool is_behind(const MemoryVersion& named, int64_t durable_step) {
  return named.step < durable_step;
}

std::string memory_directory(const MemoryVersion& version) {
  return fmt::format("step-{:012d}-g{}", version.step, version.generation);
}

std::optional<MemoryVersion> memory_version(std::string_view directory) {
  const size_t infix = directory.find(kInfix);
  if (!directory.starts_with(kPrefix) || infix == std::string_view::npos) return std::nullopt;
  const auto step = number_of(directory.substr(kPrefix.size(), infix - kPrefix.size()));
  const auto generation = number_of(directory.substr(infix + kInfix.size()));
  if (!step || !generation) return std::nullopt;
  const MemoryVersion version{*generation, *step};
  if (memory_directory(version) != directory) return std::nullopt;
  return version;
}

std::string to_text(const MemoryVersion& version) {
  return fmt::format("{}:{}", version.generation, version.step);
}

base::Result<std::optional<MemoryVersion>> parse_restore(std::string_view text) {
  if (text.empty()) return std::optional<MemoryVersion>();
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    const auto generation = number_of(text.substr(0, colon));
    const auto step = number_of(text.substr(colon + 1));
    if (generation && step) return std::optional(MemoryVersion{*generation, *step});
  }
  return base::invalid_argument(
      fmt::format("must be GENERATION:STEP, such as 3:20, and not \"{}\"", text));
}

size_t decide_area(const std::vector<std::optional<MemoryVersion>>& areas, int64_t generation,
                   const std::optional<MemoryVersion>& restored) {
  const auto worth = [&](const std::optional<MemoryVersion>& held) {
    if (!held) return std::tuple(0, MemoryVersion());
    const bool is_left_over = held->generation != generation && restored && held != restored;
    return std::tuple(is_left_over ? 1 : 2, *held);
  };
  const auto least =
      std::min_element(areas.begin(), areas.end(),
                       [&](const auto& a, const auto& b) { return worth(a) < worth(b); });
  return static_cast<size_t>(least - areas.begin());
}

base::Result<std::vector<uint64_t>> peer_parts(const base::Json& answer) {
  if (answer["error"].is_string()) return base::unavailable(answer["error"].as_string());
  if (!answer["parts"].is_array()) return base::invalid_argument("parts: must be a list");
  std::vector<uint64_t> parts;
  for (const base::Json& each : answer["parts"].items()) {
    const int64_t writer = each.is_int() ? each.as_int() : -1;
    if (writer < 0 || static_cast<uint64_t>(writer) >= kMostWriters) {
      return base::invalid_argument("parts: must hold writers, from 0");
    }
    parts.push_back(static_cast<uint64_t>(writer));
  }
  return parts;
}

base::Status peer_fetched(const base::Json& answer) {
  if (answer["error"].is_string()) return base::unavailable(answer["error"].as_string());
  if (answer["done"].is_bool() && answer["done"].as_bool()) return base::ok();
  return base::invalid_argument("done: must be true");
}

}  // namespace pelton::decide::checkpoint
