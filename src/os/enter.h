// SPDX-License-Identifier: Apache-2.0
// What a child does between fork and exec to become a process of a running container.
//
// Everything that needs memory is done before fork (plan_enter); what runs in the child makes
// async-signal-safe calls only. Internal to os/.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "os/fd.h"
#include "world/processes.h"

namespace pelton::os {

struct EnterPlan {
  Fd target;                ///< pidfd
  std::vector<Fd> cgroups;  ///< cgroup.procs of each
  uid_t user = 0;
  gid_t group = 0;
  uint64_t capabilities = 0;  ///< one bit each
  int niceness = 0;
};

/// When a process started, as world::Processes::start_ticks(). NotFound where there is none.
base::Result<uint64_t> read_start_ticks(int pid);

/// NotFound where the process or a control group is gone, InvalidArgument for a capability that is
/// none.
base::Result<EnterPlan> plan_enter(const world::Enter& enter);

/// In the child: control groups, then namespaces. False with errno. The PID namespace holds for
/// children made after it.
bool enter_namespaces(const EnterPlan& plan);
/// A sibling of the caller, in the entered PID namespace: a child of the caller's parent. As fork
/// otherwise.
pid_t fork_sibling();
/// In the child: user, group, capabilities, no_new_privs. False with errno.
bool drop_privileges(const EnterPlan& plan);

/// Paths to try for `name`, as execvp does, by the PATH in `env`.
std::vector<std::string> program_candidates(const std::string& name,
                                            const std::vector<std::string>& env);

}  // namespace pelton::os
