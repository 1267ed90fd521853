// SPDX-License-Identifier: Apache-2.0
// The command line that runs a program inside a container that runs already: `kubectl exec`, exec
// probes, hooks. Pure.
#pragma once
#include <string>
#include <vector>

#include "agent/container_record.h"
#include "agent/sandbox_command.h"

namespace pelton::agent {

/// argv that runs `command` as the container's own would run: in its control groups, namespaces,
/// root and working directory, as its user, with its capabilities and no way to more. To be started
/// with order.env as the whole environment. Needs setpriv inside, at tools.setpriv. The processes
/// are named by running.main_pid: whoever starts it has made sure that this one still lives.
std::vector<std::string> build_enter_command(const SandboxTools& tools, const ShimOrder& order,
                                             const RunningRecord& running,
                                             const std::vector<std::string>& command);

/// argv that first joins the control groups (directories), then becomes `command`. Where one cannot
/// be joined it ends with 125 and says which. `command` as it is where there are none.
std::vector<std::string> within_cgroups(const std::vector<std::string>& cgroups,
                                        std::vector<std::string> command);

}  // namespace pelton::agent
