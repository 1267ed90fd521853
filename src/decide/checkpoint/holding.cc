// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/holding.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/json.h"
#include "base/strings.h"

namespace pelton::decide::checkpoint {
namespace {

constexpr std::string_view kStep = "step-";
constexpr std::string_view kGeneration = "-g";
constexpr std::string_view kManifest = ".manifest";
constexpr int kMaxWriters = 1'000'000;

/// Digits only; absent: it is something else.
std::optional<int64_t> number_in(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  const base::Result<int64_t> number = base::parse_int(text);
  return number.ok() ? std::optional(*number) : std::nullopt;
}

}  // namespace

std::string directory_name(const MemoryVersion& version) {
  return fmt::format("step-{:012d}-g{}", version.step, version.generation);
}

std::optional<MemoryVersion> version_in(std::string_view directory_name) {
  const size_t dash = directory_name.rfind(kGeneration);
  if (!directory_name.starts_with(kStep) || dash == std::string_view::npos || dash < kStep.size()) {
    return std::nullopt;
  }
  const auto step = number_in(directory_name.substr(kStep.size(), dash - kStep.size()));
  const auto generation = number_in(directory_name.substr(dash + kGeneration.size()));
  if (!step || !generation) return std::nullopt;
  const MemoryVersion version{*generation, *step};
  // One name for each: who asks for a version by name finds what was found by listing.
  if (checkpoint::directory_name(version) != directory_name) return std::nullopt;
  return version;
}

std::string data_name(int writer) {
  return fmt::format("w{:05d}.data", writer);
}

std::string manifest_name(int writer) {
  return fmt::format("w{:05d}.manifest", writer);
}

std::optional<int> writer_in(std::string_view manifest) {
  if (!manifest.starts_with('w') || !manifest.ends_with(kManifest)) return std::nullopt;
  const auto number = number_in(manifest.substr(1, manifest.size() - 1 - kManifest.size()));
  if (!number || *number >= kMaxWriters) return std::nullopt;
  const int writer = static_cast<int>(*number);
  if (manifest_name(writer) != manifest) return std::nullopt;
  return writer;
}

base::Result<Author> author_of(std::string_view end) {
  // Members stand in the order of their names; the line ends with these two, and its seal follows.
  end = end.substr(0, end.find('\n'));
  const size_t begin = end.rfind("\"writer\":");
  if (begin == std::string_view::npos) return base::invalid_argument("it is no manifest");
  PELTON_ASSIGN(const base::Json json, base::Json::parse("{" + std::string(end.substr(begin))));
  const int64_t writer = json["writer"].as_int(-1);
  const int64_t writers = json["writers"].as_int(-1);
  if (writer < 0 || writers <= writer || writers > kMaxWriters) {
    return base::invalid_argument("writer: must be less than `writers`");
  }
  return Author{static_cast<int>(writer), static_cast<int>(writers)};
}

std::optional<MemoryVersion> newest_complete(const std::vector<std::vector<Holding>>& nodes,
                                             const std::set<MemoryVersion>& except) {
  struct Union {
    int writers = 0;
    bool is_torn = false;  ///< nodes that contradict each other about it
    std::set<int> parts;
  };
  std::map<MemoryVersion, Union> known;
  for (const std::vector<Holding>& node : nodes) {
    for (const Holding& holding : node) {
      Union& all = known[holding.version];
      all.is_torn = all.is_torn || (all.writers != 0 && all.writers != holding.writers);
      all.writers = holding.writers;
      for (const int part : holding.parts) {
        if (part < holding.writers) all.parts.insert(part);
      }
    }
  }
  for (auto each = known.rbegin(); each != known.rend(); ++each) {
    const auto& [version, all] = *each;
    if (all.is_torn || except.contains(version)) continue;
    if (all.parts.size() == static_cast<size_t>(all.writers)) return version;
  }
  return std::nullopt;
}

}  // namespace pelton::decide::checkpoint
