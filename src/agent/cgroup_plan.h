// SPDX-License-Identifier: Apache-2.0
// Control groups as a kubelet sets them, for both versions of the kernel's interface. Pure.
//
// A node's groups stand below the group that the agent itself is in, so that whatever holds the
// agent holds its pods too (in version 2, where a group with processes of its own cannot be
// divided, at the top of the tree, as a kubelet's):  OWN/pelton-ID-NODE/podUID/CONTAINER-ATTEMPT.
// In version 1 every controller has a tree of its own, in which the same path is made.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace pelton::agent {

/// What one group may use.
struct CgroupLimits {
  int64_t cpu_shares = 2;               ///< weight, 1024 for a core, 2 at least
  std::optional<int64_t> cpu_quota_us;  ///< in each 100 ms, over all cores
  std::optional<int64_t> memory_bytes;
  bool operator==(const CgroupLimits&) const = default;
};
CgroupLimits container_limits(const base::Json& container);
/// Bounds what its containers take together: by quota and memory only where each states a limit.
CgroupLimits pod_limits(const base::Json& pod);

/// Where groups can be made.
struct CgroupHome {
  int version = 0;  ///< 1 or 2
  /// Version 1: each controller that is mounted of cpu, cpuacct and memory, and the directory of
  /// our own group there; two may share one. Version 2: one directory, for all.
  std::vector<std::pair<std::string, std::string>> directories;
  std::string top;  ///< version 2: the root of the tree, for where our own group is not to be had
  /// Distinct directories.
  std::vector<std::string> parents() const;
};
/// By /proc/self/cgroup and /proc/self/mountinfo. Version 1 where it has cpu and memory.
/// Unimplemented where neither version is mounted with what limits need.
base::Result<CgroupHome> find_cgroup_home(std::string_view self_cgroup, std::string_view mountinfo);

/// One file to write.
struct CgroupSetting {
  std::string file;  ///< in the group's directory: "memory.max"
  std::string text;
  bool is_optional = false;  ///< kernels without it, or without swap, do as well
};
/// For a group below `controller`'s tree; version 2 takes all at once ("").
std::vector<CgroupSetting> cgroup_settings(int version, std::string_view controller,
                                           const CgroupLimits& limits);

/// What a group has used.
struct CgroupUsage {
  std::optional<int64_t> cpu_ns;  ///< since it was made
  std::optional<int64_t> memory_bytes, working_set_bytes, rss_bytes;
};
/// Reads one file of a group into `usage`; names that mean nothing are passed over. Files that
/// count: those of cgroup_usage_files(), memory's amount before its stat.
void read_usage_file(std::string_view name, std::string_view text, CgroupUsage& usage);
const std::vector<std::string>& cgroup_usage_files();

/// How many processes of the group the kernel has killed for want of memory, by its
/// memory.oom_control or memory.events.
int64_t read_oom_kills(std::string_view text);

}  // namespace pelton::agent
