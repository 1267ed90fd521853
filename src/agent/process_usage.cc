// SPDX-License-Identifier: Apache-2.0
#include "agent/process_usage.h"

#include <vector>

#include "agent/container_shim.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

/// What the kernel counts in for users is this on every architecture that we build for.
constexpr int64_t kNsPerTick = 10'000'000;

int64_t int_or_zero(std::string_view text) {
  const auto value = base::parse_int(text);
  return value.ok() ? *value : 0;
}

}  // namespace

int64_t cpu_ns_of_stat(std::string_view stat) {
  const size_t name_end = stat.rfind(')');  // the name may hold anything
  if (name_end == std::string_view::npos) return 0;
  const auto words = base::split(base::trim(stat.substr(name_end + 1)), ' ');
  constexpr size_t kUserTime = 11;  // field 14 of the line, 12th after the name
  if (words.size() < kUserTime + 4) return 0;
  int64_t ticks = 0;
  for (size_t i = kUserTime; i < kUserTime + 4; ++i) {
    ticks += int_or_zero(words[i]);
  }
  return ticks * kNsPerTick;
}

int64_t rss_of_status(std::string_view status) {
  for (const std::string_view line : base::split(status, '\n')) {
    if (!line.starts_with("VmRSS:")) continue;
    const auto words = base::split(base::trim(line.substr(6)), ' ');
    return int_or_zero(words[0]) * 1024;
  }
  return 0;
}

CgroupUsage read_process_usage(world::Files& files, int pid) {
  CgroupUsage usage{.cpu_ns = 0, .memory_bytes = 0};
  std::vector<int> open = {pid};
  while (!open.empty()) {
    const int next = open.back();
    open.pop_back();
    const std::string directory = "/proc/" + std::to_string(next);
    const auto stat = files.read(directory + "/stat");
    const auto status = files.read(directory + "/status");
    if (stat.ok()) *usage.cpu_ns += cpu_ns_of_stat(*stat);
    if (status.ok()) *usage.memory_bytes += rss_of_status(*status);
    for (const int child : children_of(files, next)) open.push_back(child);
  }
  usage.working_set_bytes = usage.rss_bytes = usage.memory_bytes;
  return usage;
}

}  // namespace pelton::agent
