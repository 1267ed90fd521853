// SPDX-License-Identifier: Apache-2.0
// Reads what a job's directory in memory holds of its checkpoints.
#pragma once
#include <string>
#include <vector>

#include "decide/checkpoint/holding.h"
#include "world/files.h"

namespace pelton::checkpoint {

/// The newest versions, newest first, at most `most` of them, from the names and ends of their
/// manifests. Empty where there is nothing, or no such directory. `memory` is what
/// $PELTON_MEMORY_DIR names: of one job.
std::vector<decide::checkpoint::Holding> read_held(world::Files& files, const std::string& memory,
                                                   size_t most);

}  // namespace pelton::checkpoint
