// SPDX-License-Identifier: Apache-2.0
// `pelton run`: the launcher of a worker group (launch/), as a program.
#pragma once

namespace pelton::cli {

/// argv[0] is "run". Returns the process's exit code: the first failed worker's, 128 + a signal,
/// or 2 where the command line or the surroundings do not fit.
int run_run(int argc, char** argv);
/// `pelton run-supervisor`, which `pelton run` starts beside itself.
int run_run_supervisor(int argc, char** argv);

}  // namespace pelton::cli
