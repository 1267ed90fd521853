// SPDX-License-Identifier: Apache-2.0
// Acts out a GroupPlan: starts the workers of one node, passes signals on, restarts or ends.
//
// Each worker is a session of its own, so that a signal reaches all of its processes and Ctrl-C
// comes to the launcher alone; it dies with the launcher. Output goes where the launcher's goes.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "launch/group.h"
#include "launch/plan.h"
#include "world/world.h"

namespace pelton::launch {

class Launcher {
 public:
  /// `world` must outlive it.
  Launcher(world::World& world, GroupPlan plan);

  /// Starts the workers. `on_done` comes once, with the exit code for the launcher's own process:
  /// also where a program is not found (127) or could not be started (126), as in a shell.
  void start(std::function<void(int exit_code)> on_done);
  /// Passes a signal on, and ends the group where it asks for that.
  void on_signal(int number);

 private:
  void act(const std::vector<Action>& actions);
  void start_workers(int attempt);
  base::Status start_worker(int local_rank, int attempt);
  void on_worker_exit(int local_rank, world::ExitState how);
  void finish(int exit_code);

  world::World& world_;
  GroupPlan plan_;
  Group group_;
  world::Timer grace_;  ///< at the end: the call of on_done_
  bool finished_ = false;
  std::vector<std::unique_ptr<world::Process>> workers_;  ///< by local rank
  std::function<void(int)> on_done_;
};

}  // namespace pelton::launch
