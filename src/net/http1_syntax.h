// SPDX-License-Identifier: Apache-2.0
// The pieces of HTTP/1.1's grammar that both readers and the writers need. Internal to net/.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/http.h"

namespace pelton::net {

bool is_token(std::string_view text);        ///< RFC 9110, at least one character
bool is_field_value(std::string_view text);  ///< no control characters but tab
bool is_target(std::string_view text);       ///< visible ASCII, at least one character

/// Digits only, at most 18 of them.
std::optional<uint64_t> parse_length(std::string_view text);

/// Where the head that begins at `begin` ends (behind its empty line), or npos. `searched` says
/// where to go on and is advanced.
size_t find_head_end(std::string_view buffer, size_t begin, size_t& searched);

/// Takes the next line (without its end) from the front of `head`, which ends with CRLF CRLF.
/// nullopt where it holds a bare CR or LF.
std::optional<std::string_view> take_line(std::string_view& head);

/// Reads the fields of a head, from after its first line. nullptr, or what is wrong.
const char* parse_fields(std::string_view head, Headers& headers);

/// Whether one of the comma-separated elements of one of the fields of this name is `token`.
bool has_token(const Headers& headers, std::string_view name, std::string_view token);

/// What a head says about its body. `error` is nullptr where it is sane.
struct BodyFacts {
  bool is_chunked = false;
  std::optional<uint64_t> length;
  const char* error = nullptr;
  int status = 400;
};
BodyFacts read_body_facts(const Headers& headers, bool is_http_1_0);

}  // namespace pelton::net
