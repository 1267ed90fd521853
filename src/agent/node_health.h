// SPDX-License-Identifier: Apache-2.0
// Watches the machine: the kernel's log, its NVIDIA GPUs where there are any, its disk and its
// clock. What they say about the node's health becomes an Event of the Node for each finding, and
// the condition kDeviceFault for what only a repair or a reboot mends.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/event_recorder.h"
#include "agent/line_follower.h"
#include "agent/node_object.h"
#include "api/object.h"
#include "decide/health/gpu_watch.h"
#include "decide/health/host_watch.h"
#include "decide/health/kernel_log.h"
#include "world/world.h"

namespace pelton::agent {

/// What is followed to know how the machine is. Empty commands: not that.
struct HealthSources {
  std::vector<std::string> kernel_log;  ///< prints the kernel's new lines, without a time
  std::vector<std::string> gpus;        ///< prints what decide/health/gpu_watch.h reads
  std::string disk;                     ///< a directory on it; empty: neither disk nor clock
};
/// dmesg; nvidia-smi where the machine has it; the disk of `data_directory`.
HealthSources health_sources(world::Files& files, const std::string& data_directory);

class NodeHealth {
 public:
  /// `changed`: condition() is another. The references must outlive it.
  NodeHealth(world::World world, EventRecorder& events, std::string node_name,
             HealthSources sources, std::function<void()> changed);

  void start();
  /// Absent: nothing was found since start().
  const std::optional<api::Condition>& condition() const { return condition_; }

 private:
  void on_kernel_line(std::string_view line);
  void look_at_host();
  void tell(const decide::health::NodeFinding& finding);

  world::World world_;
  EventRecorder& events_;
  std::string node_name_;
  HealthSources sources_;
  std::function<void()> changed_;
  world::Timer look_;
  LineFollower kernel_log_;
  LineFollower gpu_log_;
  decide::health::GpuWatch gpus_;
  decide::health::HostWatch host_;
  std::optional<api::Condition> condition_;
  std::map<std::string, base::Duration> told_;  ///< by cause and device: when it was, elapsed
};

}  // namespace pelton::agent
