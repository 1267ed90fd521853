// SPDX-License-Identifier: Apache-2.0
// An object store for a checkpointer, from its environment.
#pragma once
#include <string>

#include "os/loop_thread.h"

namespace pelton::abi {

/// Where `directory` is "s3://BUCKET/PREFIX", the thread's files know such paths after this, and
/// the store has been seen to be there and to be fit (ObjectFiles::check): true. Else nothing
/// happens: false. Blocks.
base::Result<bool> open_store(os::LoopThread& thread, const std::string& directory);

}  // namespace pelton::abi
