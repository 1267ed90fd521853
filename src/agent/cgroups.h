// SPDX-License-Identifier: Apache-2.0
// The control groups of one node's pods: made, filled in, read, removed. What they are: see
// agent/cgroup_plan.h. All calls are quick; the kernel's files are no disk.
#pragma once
#include <string>
#include <vector>

#include "agent/cgroup_plan.h"
#include "base/json.h"
#include "base/status.h"
#include "world/files.h"

namespace pelton::agent {

class Cgroups {
 public:
  /// Makes the node's group, named `name`, or finds out why that is not possible: then problem()
  /// says it, and nothing is limited.
  Cgroups(world::Files& files, const std::string& name);
  /// For tests: below this home.
  Cgroups(world::Files& files, CgroupHome home, const std::string& name);

  bool is_available() const { return problem_.empty(); }
  /// Why limits are not enforced, and what to do about it; "" where they are.
  const std::string& problem() const { return problem_; }
  /// Where the node's groups are, for people.
  std::string description() const;

  /// Makes the group of a container (and its pod's, with the pod's limits); gives its directories,
  /// which the container's processes have to join: one, or in version 1 one for each tree. None
  /// where limits are not available.
  base::Result<std::vector<std::string>> make(const base::Json& pod, const base::Json& container,
                                              int attempt);

 private:
  void open();
  base::Status open_node_groups();
  base::Status write(const std::string& directory, const CgroupSetting& setting);
  base::Status make_group(const std::string& parent, const std::string& path,
                          const CgroupLimits& limits);
  std::vector<std::string> controllers_of(const std::string& parent) const;

  world::Files& files_;
  CgroupHome home_;
  std::string name_;
  std::string problem_;
};

/// Removes a container's groups, and its pod's where no other container's is left in it. What still
/// has processes stays: call again.
void remove_cgroups(world::Files& files, const std::vector<std::string>& directories);
CgroupUsage read_cgroup_usage(world::Files& files, const std::vector<std::string>& directories);
/// Whether the kernel has killed a process in one of them for want of memory.
bool has_oom_kill(world::Files& files, const std::vector<std::string>& directories);

}  // namespace pelton::agent
