// SPDX-License-Identifier: Apache-2.0
// What the sandbox has to know about this machine, found out once.
#pragma once
#include <functional>
#include <string>

#include "agent/sandbox_command.h"
#include "base/status.h"
#include "world/world.h"

namespace pelton::agent {

/// The absolute paths of our tools. NotFound names the one that is missing and its package.
base::Result<SandboxTools> find_tools(world::Files& files);

/// The tree under `prefix` ("" is the machine's own root). Unavailable where it cannot be read.
void observe_root_tree(world::World world, const std::string& prefix,
                       std::function<void(base::Result<RootTree>)> done);

/// exists() and names() over these files.
PathFacts path_facts(world::Files& files);

/// The directories that a virtual environment needs beside itself: the prefix of the interpreter it
/// was made from, where the machine's visible part does not hold it. NotFound where the directory
/// is no virtual environment: the message says how to make one.
base::Result<std::vector<std::string>> venv_directories(world::Files& files,
                                                        const std::string& venv);

}  // namespace pelton::agent
