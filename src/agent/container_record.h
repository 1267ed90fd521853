// SPDX-License-Identifier: Apache-2.0
// The files by which an agent and the shim of a container speak: state that outlives either.
//
// In NODE/pods/UID/containers/NAME/ATTEMPT/:
//   shim.json     the agent's order: what to run. Written once, before the shim is started.
//   lock          held by the shim as long as it lives.
//   running.json  by the shim: pids and start. `pid` beside it is the main process's pid alone,
//                 as text, for people and scripts: kill -9 $(cat pid) ends the container.
//   exit.json     by the shim, durable: the end. Or by an agent that found neither shim nor end.
//   log           the output (agent/cri_log.h), and older output (agent/log_files.h).
//   termination-message   by the container: what it has to say about its end.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "world/files.h"

namespace pelton::agent {

struct LogLimits {
  uint64_t max_bytes = 10 * 1024 * 1024;  ///< of one file, as a kubelet's containerLogMaxSize
  int max_files = 5;                      ///< containerLogMaxFiles
};

struct ShimOrder {
  std::vector<std::string> argv;  ///< of the sandbox
  std::vector<std::string> env;   ///< "NAME=value"
  // For whoever enters the running container later (agent/enter_command.h).
  int64_t user = 0, group = 0;
  std::string working_directory = "/";
  /// Directories of the control groups that the container's processes are in; may be none.
  std::vector<std::string> cgroups;
  LogLimits log_limits;
};

struct RunningRecord {
  int shim_pid = 0;
  int init_pid = 0;  ///< first process of the container's PID namespace: its end ends all others
  int main_pid = 0;  ///< the container's command
  uint64_t init_start_ticks = 0, main_start_ticks = 0, shim_start_ticks = 0;
  base::Instant started_at;
};

struct ExitRecord {
  int code = 0;  ///< as a shell reports it
  std::string reason;
  std::string message;
  base::Instant started_at, finished_at;
};

struct ContainerPaths {
  explicit ContainerPaths(std::string directory) : directory(std::move(directory)) {}
  std::string directory;
  std::string order() const { return directory + "/shim.json"; }
  std::string lock() const { return directory + "/lock"; }
  std::string running() const { return directory + "/running.json"; }
  std::string pid() const { return directory + "/pid"; }
  std::string exit() const { return directory + "/exit.json"; }
  /// Bound into the container at its terminationMessagePath.
  std::string termination_message() const { return directory + "/termination-message"; }
  std::string log() const { return directory + "/log"; }
};

base::Status write_order(world::Files& files, const ContainerPaths& paths, const ShimOrder& order);
base::Result<ShimOrder> read_order(world::Files& files, const ContainerPaths& paths);
base::Status write_running(world::Files& files, const ContainerPaths& paths,
                           const RunningRecord& record);
/// nullopt where there is none yet.
std::optional<RunningRecord> read_running(world::Files& files, const ContainerPaths& paths);
/// Replaces atomically; `done` after it is durable.
void write_exit(world::Files& files, const ContainerPaths& paths, const ExitRecord& record,
                world::File::Done done);
std::optional<ExitRecord> read_exit(world::Files& files, const ContainerPaths& paths);

}  // namespace pelton::agent
