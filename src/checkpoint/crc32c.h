// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli): what an object store checks an upload with.
#pragma once
#include <cstdint>
#include <string_view>

namespace pelton::checkpoint {

/// Several GB/s where the processor has the instruction. Any thread.
uint32_t crc32c(std::string_view bytes);

}  // namespace pelton::checkpoint
