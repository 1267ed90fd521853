// SPDX-License-Identifier: Apache-2.0
// Follows a command that prints lines for ever, and begins it again where it ends.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "world/world.h"

namespace pelton::agent {

class LineFollower {
 public:
  /// Calls `on_line` from the loop, without the line's end; `what` names it in our log
  /// ("node.gpus").
  LineFollower(world::World world, std::string what, std::vector<std::string> command,
               std::function<void(std::string_view line)> on_line);
  ~LineFollower();

  void start();

 private:
  void on_output(std::string_view bytes);

  world::World world_;
  std::string what_;
  std::vector<std::string> command_;
  std::function<void(std::string_view)> on_line_;
  world::Timer again_;
  std::unique_ptr<world::Process> process_;
  std::string unread_;
};

}  // namespace pelton::agent
