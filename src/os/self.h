// SPDX-License-Identifier: Apache-2.0
// Facts about this process, for the commands in cli/.
#pragma once
#include <cstdint>
#include <string>

namespace pelton::os {

/// The absolute path of the running executable.
std::string executable_path();
std::string working_directory();
/// Effective user id 0.
bool is_root();
/// Whether the descriptor (1: stdout, 2: stderr) is a terminal.
bool is_terminal(int fd);
/// Columns of the terminal at stdout; `fallback` where there is none.
int terminal_columns(int fallback);
int process_id();
/// Lets this process open as many files and sockets as the system allows it; not its children.
void raise_open_files_limit();

}  // namespace pelton::os
