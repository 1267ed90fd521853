// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/crc32c.h"

#include <array>
#include <cstring>

namespace pelton::checkpoint {
namespace {

constexpr std::array<uint32_t, 256> kTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t sum = i;
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ (sum & 1 ? 0x82f63b78 : 0);
    table[i] = sum;
  }
  return table;
}();

uint32_t add_bytes(uint32_t sum, std::string_view bytes) {
  for (const char c : bytes) sum = (sum >> 8) ^ kTable[(sum ^ static_cast<uint8_t>(c)) & 255];
  return sum;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t add_words(uint32_t sum, std::string_view bytes) {
  uint64_t wide = sum;
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    wide = __builtin_ia32_crc32di(wide, word);
  }
  return add_bytes(static_cast<uint32_t>(wide), bytes);
}
#endif

}  // namespace

uint32_t crc32c(std::string_view bytes) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2");
  if (has_instruction) return ~add_words(~uint32_t{0}, bytes);
#endif
  return ~add_bytes(~uint32_t{0}, bytes);
}

}  // namespace pelton::checkpoint
