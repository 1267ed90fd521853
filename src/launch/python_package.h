// SPDX-License-Identifier: Apache-2.0
// The Python package `pelton` (python/), which the executable carries with it.
//
// It is one archive that Python imports from as it is: put the path that write_python_package
// returns FIRST on PYTHONPATH of the parked parent and of every worker, alike: the parked parent
// refuses workers whose PYTHON* variables differ from its own. Besides the modules (pelton,
// pelton.park, pelton.jax) it holds a sitecustomize, by which workers that are not forked from a
// parked parent report their exceptions (PELTON_HEARTBEAT) and find the coordinator
// (PELTON_COORDINATOR); one that it hides runs all the same.
//
// python -m pelton.park ends with 3, before it listens, where it cannot park (a reason on stderr):
// start the workers without it then.
#pragma once
#include <string>

#include "base/status.h"
#include "world/files.h"

namespace pelton::launch {

/// Writes the archive into `directory`, which must exist, replacing an older one in one step.
/// Returns its path. Readable by all: a worker may be another user.
base::Result<std::string> write_python_package(world::Files& files, const std::string& directory);

}  // namespace pelton::launch
