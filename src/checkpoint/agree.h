// SPDX-License-Identifier: Apache-2.0
// One word for several processes that see the same directory and do not speak with each other.
#pragma once
#include <string>

#include "base/status.h"
#include "world/files.h"

namespace pelton::checkpoint {

/// The text of the file `path`, which the first of those who ask writes: what `mine` was for it.
/// All get the same, for good. `who` is in use by nobody else who asks. It need not survive a crash
/// of the machine: then nobody is left who has read it.
base::Result<std::string> agree(world::Files& files, const std::string& path,
                                const std::string& who, const std::string& mine);

}  // namespace pelton::checkpoint
