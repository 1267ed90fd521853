// SPDX-License-Identifier: Apache-2.0
// A command beside a container's own, in a container that runs already: `kubectl exec`, exec
// probes, hooks. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "agent/container_record.h"
#include "agent/sandbox_command.h"
#include "world/processes.h"

namespace pelton::agent {

/// Runs `command` as the container's own would run: in its control groups, namespaces, root and
/// working directory, with its environment, as its user, with its capabilities and no way to more.
/// It leads a session of its own. Streams are left to the caller.
world::ProcessSpec enter_command(const ShimOrder& order, const RunningRecord& running,
                                 std::vector<std::string> command);

/// Why a program inside a container did not start, as a shell has it.
struct NotStarted {
  int exit_code = 0;  ///< 127: not found, 126: may not be run
  std::string text;
};
/// From what spawn() said about an enter_command(); nullopt where the fault is not the program's.
std::optional<NotStarted> explain_not_started(const base::Status& why, const std::string& program);

/// argv that first joins the control groups (directories), then becomes `command`. Where one cannot
/// be joined it ends with 125 and says which. `command` as it is where there are none.
std::vector<std::string> within_cgroups(const std::vector<std::string>& cgroups,
                                        std::vector<std::string> command);

}  // namespace pelton::agent
