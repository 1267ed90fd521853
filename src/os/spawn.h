// SPDX-License-Identifier: Apache-2.0
// fork and exec, with the error of exec in the parent's hands.
#pragma once
#include <sys/types.h>

#include "base/status.h"
#include "os/fd.h"
#include "world/processes.h"

namespace pelton::os {

struct Spawned {
  pid_t pid = 0;
  // Our ends of the streams, where the spec asked for them. None of them blocks. Of a terminal,
  // output and input are the same.
  Fd output;
  Fd error_output;
  Fd input;
};

/// Lets this process open as many files as the hard limit allows. Children get the limit that we
/// were given: some programs walk through all descriptors that they might have.
void raise_own_files_limit();

/// NotFound: no such program, stream file's directory, working directory, or process to enter.
/// Forbidden: the program may not be run.
base::Result<Spawned> fork_and_exec(const world::ProcessSpec& spec);

}  // namespace pelton::os
