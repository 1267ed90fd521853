// SPDX-License-Identifier: Apache-2.0
// Which commands can be forked from a parked parent: a Python script or module, run by its
// interpreter. Everything else is started anew each time. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace pelton::launch {

/// A command `PYTHON [FLAGS] SCRIPT [ARGUMENTS]` or `PYTHON [FLAGS] -m MODULE [ARGUMENTS]`.
struct PythonCommand {
  std::vector<std::string> interpreter;  ///< with its flags
  bool is_module = false;
  std::vector<std::string> argv;  ///< the script or module, and its arguments
};

/// None: not Python, or not from a file (-c, stdin), or with a flag that asks for something else
/// (-i, --help, -V) or that keeps our package out (-I, -E, -S).
std::optional<PythonCommand> python_command_of(const std::vector<std::string>& command);

/// The command line of its parked parent, which forks `spares` children ahead.
std::vector<std::string> park_command(const PythonCommand& command, const std::string& socket,
                                      int spares);

}  // namespace pelton::launch
