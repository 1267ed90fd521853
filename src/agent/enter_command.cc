// SPDX-License-Identifier: Apache-2.0
#include "agent/enter_command.h"

namespace pelton::agent {

namespace {

constexpr int kExitNotFound = 127;
constexpr int kExitNotExecutable = 126;

}  // namespace

world::ProcessSpec enter_command(const ShimOrder& order, const RunningRecord& running,
                                 std::vector<std::string> command) {
  world::ProcessSpec spec{.argv = std::move(command),
                          .env = order.env,
                          .working_directory = order.working_directory,
                          .new_session = true};
  // The first process, not the command's own: as long as it lives the namespaces do.
  spec.enter = world::Enter{.pid = running.init_pid,
                            .start_ticks = running.init_start_ticks,
                            .user = static_cast<uint32_t>(order.user),
                            .group = static_cast<uint32_t>(order.group),
                            .capabilities = container_capabilities(),
                            .niceness = kContainerNiceness,
                            .cgroups = order.cgroups};
  return spec;
}

std::optional<NotStarted> explain_not_started(const base::Status& why, const std::string& program) {
  if (!why.message().starts_with("starting ")) return std::nullopt;
  const std::string name = "exec: \"" + program + "\": ";
  if (why.code() == base::Code::NotFound) {
    return NotStarted{kExitNotFound, name + "executable file not found in $PATH"};
  }
  if (why.code() == base::Code::Forbidden) {
    return NotStarted{kExitNotExecutable, name + "permission denied"};
  }
  return std::nullopt;
}

std::vector<std::string> within_cgroups(const std::vector<std::string>& cgroups,
                                        std::vector<std::string> command) {
  if (cgroups.empty()) return command;
  constexpr const char* kJoin =
      "n=$1; shift; while [ $n -gt 0 ]; do echo 0 > \"$1/cgroup.procs\" || exit 125; shift; "
      "n=$((n - 1)); done; exec \"$@\"";
  std::vector<std::string> argv = {"/bin/sh", "-c", kJoin, "join", std::to_string(cgroups.size())};
  argv.insert(argv.end(), cgroups.begin(), cgroups.end());
  argv.insert(argv.end(), std::make_move_iterator(command.begin()),
              std::make_move_iterator(command.end()));
  return argv;
}

}  // namespace pelton::agent
