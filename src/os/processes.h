// SPDX-License-Identifier: Apache-2.0
// Child processes, named by pidfds so that a signal never hits a successor of the same pid.
#pragma once
#include <map>
#include <memory>

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
  base::Result<std::unique_ptr<world::Process>> attach(
      int pid, uint64_t start_ticks, std::function<void(world::ExitState)> on_exit) override;

 private:
  class Watched;
  class Handle;

  Loop& loop_;
  std::map<int, std::shared_ptr<Watched>> running_;  ///< children, until they are reaped
};

}  // namespace pelton::os
