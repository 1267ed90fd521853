// SPDX-License-Identifier: Apache-2.0
// One pass over memory that copies and checks.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pelton::checkpoint {

/// Copies `size` bytes and returns their xxHash3 (64 bits, seed 0), as they were read. As fast as
/// memcpy of as much (memory is what limits both). The areas do not overlap. Any thread.
uint64_t copy_and_hash(char* to, const char* from, size_t size);

/// The checksums of the chunks of a slice (decide/checkpoint/manifest.h:kChunkBytes).
std::vector<uint64_t> copy_and_hash_chunks(char* to, const char* from, size_t size);

}  // namespace pelton::checkpoint
