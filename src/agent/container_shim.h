// SPDX-License-Identifier: Apache-2.0
// The process that stands between an agent and one container, so that containers outlive agents.
//
// `pelton container-shim DIRECTORY` (a session of its own) takes the lock of the container's
// directory, runs what shim.json says, copies its output to the log, says in running.json who runs
// and in exit.json how it ended, and ends. It decides nothing: signals, restarts and clean-up are
// the agent's. Where exit.json exists already, an agent has given this attempt up: nothing is run.
// If the shim itself is killed, the sandbox dies with it (bubblewrap's --die-with-parent).
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "agent/container_record.h"
#include "agent/cri_log.h"
#include "agent/log_files.h"
#include "world/world.h"

namespace pelton::agent {

class ContainerShim {
 public:
  /// `finished` is called once, after exit.json is durable or nothing could be run, with the
  /// exit code for the shim's own process: 0, or 1 where the log of the shim says why.
  ContainerShim(world::World world, std::string directory, int own_pid,
                std::function<void(int)> finished);
  void start();

 private:
  void find_processes();
  void on_output(CriLogWriter& writer, std::string_view piece);
  void on_exit(world::ExitState state);
  void maybe_finish();
  void fail(const base::Status& status);

  world::World world_;
  ContainerPaths paths_;
  int own_pid_;
  std::function<void(int)> finished_;
  std::unique_ptr<world::FileLock> lock_;
  std::unique_ptr<LogAppender> log_;
  std::vector<std::string> cgroups_;
  CriLogWriter stdout_{"stdout"}, stderr_{"stderr"};
  std::unique_ptr<world::Process> process_;
  world::Timer timer_;
  base::Instant started_at_;
  std::optional<world::ExitState> exit_;
  int open_outputs_ = 2;
  bool is_finishing_ = false;
};

/// The children of a process, oldest first, by /proc. Empty where it has none or is gone.
std::vector<int> children_of(world::Files& files, int pid);

}  // namespace pelton::agent
