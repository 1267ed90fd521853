// SPDX-License-Identifier: Apache-2.0
#include "agent/valid_text.h"

#include <cstdint>

namespace pelton::agent {
namespace {

uint8_t byte_at(std::string_view text, size_t at) {
  return at < text.size() ? static_cast<uint8_t>(text[at]) : 0;
}

bool is_between(uint8_t byte, int low, int high) {
  return byte >= low && byte <= high;
}

/// The length of the well-formed sequence at `at`; 0 where there is none.
size_t sequence_length(std::string_view text, size_t at) {
  const uint8_t first = byte_at(text, at), second = byte_at(text, at + 1);
  if (first < 0x80) return 1;
  size_t length = 0;
  if (is_between(first, 0xC2, 0xDF)) length = 2;
  if (is_between(first, 0xE0, 0xEF)) length = 3;
  if (is_between(first, 0xF0, 0xF4)) length = 4;
  // No longer encoding than needed, no surrogate, nothing above U+10FFFF.
  const int low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const int high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  if (length == 0 || !is_between(second, low, high)) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (!is_between(byte_at(text, at + i), 0x80, 0xBF)) return 0;
  }
  return length;
}

}  // namespace

std::string valid_text(std::string_view bytes) {
  std::string out;
  for (size_t at = 0; at < bytes.size();) {
    const size_t length = sequence_length(bytes, at);
    out += length == 0 ? std::string_view("\xEF\xBF\xBD") : bytes.substr(at, length);
    at += length == 0 ? 1 : length;
  }
  return out;
}

}  // namespace pelton::agent
