// SPDX-License-Identifier: Apache-2.0
// The agent's side of one attempt at running a container: starts its shim, or finds it again.
//
// Everything is read from the container's directory (agent/container_record.h), so an agent that
// was killed continues where it stood. An attempt whose shim is gone without having said how it
// ended is given up under the shim's own lock: a shim that was only late finds that and runs
// nothing. So an attempt runs at most once.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/container_record.h"
#include "world/world.h"

namespace pelton::agent {

class ContainerRun {
 public:
  enum class State : uint8_t { Starting, Running, Exited };
  /// `changed` is called on the loop after each change of state().
  ContainerRun(world::World world, std::string directory, std::function<void()> changed);
  ContainerRun(const ContainerRun&) = delete;
  ContainerRun& operator=(const ContainerRun&) = delete;

  /// Writes the order and starts `executable container-shim DIRECTORY`.
  base::Status start(const ShimOrder& order, const std::string& executable);
  /// Finds out what became of an attempt that another agent process started.
  void adopt();

  State state() const { return state_; }
  const std::optional<RunningRecord>& running() const { return running_; }
  const std::optional<ExitRecord>& exit() const { return exit_; }
  const ContainerPaths& paths() const { return paths_; }

  /// SIGTERM to the command. FailedPrecondition while it is only starting.
  base::Status terminate();
  /// SIGKILL to all processes of the container, also while it is starting.
  base::Status kill();

 private:
  void watch();
  void refresh();
  void refresh_or_give_up();
  void give_up();
  base::Status signal(int pid, uint64_t start_ticks, int number);

  world::World world_;
  ContainerPaths paths_;
  std::function<void()> changed_;
  State state_ = State::Starting;
  std::optional<RunningRecord> running_;
  std::optional<ExitRecord> exit_;
  std::unique_ptr<world::FileWatch> watch_;
  std::unique_ptr<world::Process> shim_;
  bool is_giving_up_ = false;
  world::Timer look_again_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::agent
