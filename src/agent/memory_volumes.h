// SPDX-License-Identifier: Apache-2.0
// emptyDir volumes with `medium: Memory`: a tmpfs of their own each, on the machine, so that they
// outlive containers and agents. Needs root.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "agent/pod_inputs.h"
#include "world/processes.h"

namespace pelton::agent {

struct MemoryMount {
  std::string directory;  ///< there already
  int64_t bytes = 0;      ///< writes beyond get ENOSPC
  /// For few large files: in huge pages, where the kernel has them for tmpfs, a mapping costs next
  /// to nothing.
  bool is_for_large_files = false;
};

/// Mounts those that are not mounted yet. Unavailable with the tool's words.
void mount_memory_volumes(world::Processes& processes, const std::vector<MemoryMount>& mounts,
                          std::function<void(base::Status)> done);
/// Gives their memory back; what they hold is lost. Ok where nothing is mounted.
void unmount_memory_volumes(world::Processes& processes,
                            const std::vector<std::string>& directories,
                            std::function<void(base::Status)> done);

/// As a kubelet sizes it: the least of sizeLimit, what the pod's containers may use together where
/// they state limits, and the node's memory.
int64_t memory_volume_bytes(const base::Json& pod, const base::Json& empty_dir,
                            const api::Quantity& node_memory);

}  // namespace pelton::agent
