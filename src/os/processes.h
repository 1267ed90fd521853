// SPDX-License-Identifier: Apache-2.0
// Child processes, named by pidfds so that a signal never hits a successor of the same pid.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "os/loop.h"
#include "world/processes.h"

namespace pelton::os {

class OsProcesses final : public world::Processes {
 public:
  explicit OsProcesses(Loop& loop) : loop_(loop) {}
  ~OsProcesses() override;

  /// The child begins with no blocked signals, the default reaction to each, and no descriptor of
  /// ours but the three streams. One that nobody holds any more is still waited for.
  base::Result<std::unique_ptr<world::Process>> spawn(
      world::ProcessSpec spec, std::function<void(world::ExitState)> on_exit) override;
  base::Result<uint64_t> start_ticks(int pid) override;
  base::Result<world::ProcessActivity> activity(int pid, bool with_sockets) override;
  base::Result<std::unique_ptr<world::Process>> attach(
      int pid, uint64_t start_ticks, std::function<void(world::ExitState)> on_exit) override;
  base::Status keep_orphans() override;
  base::Result<std::unique_ptr<world::Process>> adopt(
      int pid, std::function<void(world::ExitState)> on_exit) override;
  std::vector<int> orphans() override;

 private:
  class Watched;
  class Handle;

  std::unique_ptr<world::Process> watch_child(int pid, Fd pidfd, bool takes_group,
                                              std::function<void(world::ExitState)> on_exit);
  void reap_all();

  Loop& loop_;
  std::map<int, std::shared_ptr<Watched>> running_;  ///< children, until they are reaped
  Fd child_signals_;                                 ///< where we keep orphans
  std::unique_ptr<Loop::Watch> child_watch_;
  /// How the last orphans ended that nobody had adopted by then: who forked them may be about to
  /// tell their pids.
  std::deque<std::pair<int, world::ExitState>> ended_orphans_;
};

}  // namespace pelton::os
