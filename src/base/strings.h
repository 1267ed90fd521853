// SPDX-License-Identifier: Apache-2.0
// Small helpers over text and bytes.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace pelton::base {

/// "a,b,,c" by ',' -> {"a","b","","c"}; "" -> {}.
std::vector<std::string_view> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view trim(std::string_view text);  ///< without spaces, tabs, CR, LF at both ends
std::string to_lower(std::string_view text);   ///< ASCII only
bool equals_ignore_case(std::string_view a, std::string_view b);  ///< ASCII only
/// A whole decimal integer, nothing else around it. InvalidArgument otherwise.
Result<int64_t> parse_int(std::string_view text);

std::string base64_encode(std::string_view bytes);         ///< RFC 4648, padded
Result<std::string> base64_decode(std::string_view text);  ///< padding optional, newlines skipped
std::string hex_encode(std::string_view bytes);            ///< lower case
std::string percent_decode(std::string_view text, bool plus_is_space = false);
std::string percent_encode(std::string_view text);  ///< all but RFC 3986 unreserved

/// xxHash3, 64 bits, of the bytes. Not for adversaries; stable across runs and machines.
uint64_t hash64(std::string_view bytes, uint64_t seed = 0);

/// The same of bytes that come one after the other.
class Hash64 {
 public:
  Hash64();
  ~Hash64();
  Hash64(const Hash64&) = delete;
  Hash64& operator=(const Hash64&) = delete;
  void add(std::string_view bytes);
  uint64_t value() const;  ///< of all since the last reset()
  void reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pelton::base
