// SPDX-License-Identifier: Apache-2.0
// Follows the kernel's log of the machine, and tells what it says about the node's health: an Event
// of the Node for each finding, and the condition kDeviceFault for what only a repair or a
// reboot mends.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/event_recorder.h"
#include "agent/node_object.h"
#include "api/object.h"
#include "decide/health/kernel_log.h"
#include "world/world.h"

namespace pelton::agent {

/// dmesg, new lines only, without a time: they are read as they come.
std::vector<std::string> kernel_log_command();

class NodeHealth {
 public:
  /// `command` prints the log, a line each, for ever. `changed`: condition() is another. The
  /// references must outlive it.
  NodeHealth(world::World world, EventRecorder& events, std::string node_name,
             std::vector<std::string> command, std::function<void()> changed);
  ~NodeHealth();

  void start();
  /// Absent: nothing was found since start().
  const std::optional<api::Condition>& condition() const { return condition_; }

 private:
  void on_output(std::string_view bytes);
  void on_line(std::string_view line);
  void on_end();

  world::World world_;
  EventRecorder& events_;
  std::string node_name_;
  std::vector<std::string> command_;
  std::function<void()> changed_;
  world::Timer again_;
  std::unique_ptr<world::Process> process_;
  std::string unread_;
  std::optional<api::Condition> condition_;
  std::map<std::string, base::Duration> told_;  ///< by cause and device: when it was, elapsed
};

}  // namespace pelton::agent
