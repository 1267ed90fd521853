// SPDX-License-Identifier: Apache-2.0
#include "net/http1_syntax.h"

#include <algorithm>

namespace pelton::net {
namespace {

bool is_token_char(char c) {
  const auto u = static_cast<unsigned char>(c);
  if ((u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || (u >= '0' && u <= '9')) return true;
  return u != 0 && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

bool is_field_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u == '\t' || (u >= 0x20 && u != 0x7f);
  });
}

bool is_target(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u > 0x20 && u < 0x7f;
  });
}

std::optional<uint64_t> parse_length(std::string_view text) {
  if (text.empty() || text.size() > 18) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

size_t find_head_end(std::string_view buffer, size_t begin, size_t& searched) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  const size_t found = buffer.find(kEnd, std::max(begin, searched));
  if (found != std::string_view::npos) return found + kEnd.size();
  searched = std::max(begin, buffer.size() < 3 ? 0 : buffer.size() - 3);
  return std::string_view::npos;
}

std::optional<std::string_view> take_line(std::string_view& head) {
  const size_t end = head.find('\n');
  if (end == std::string_view::npos || end == 0 || head[end - 1] != '\r') return std::nullopt;
  const std::string_view line = head.substr(0, end - 1);
  if (line.find('\r') != std::string_view::npos) return std::nullopt;
  head.remove_prefix(end + 1);
  return line;
}

const char* parse_fields(std::string_view head, Headers& headers) {
  for (;;) {
    const auto line = take_line(head);
    if (!line) return "a line does not end with CR LF";
    if (line->empty()) return nullptr;
    const size_t colon = line->find(':');
    if (colon == std::string_view::npos) return "a header line has no colon";
    const std::string_view name = line->substr(0, colon);
    // Also refuses a folded line and a space before the colon.
    if (!is_token(name)) return "a header's name is not a token";
    const std::string_view value = trim_blanks(line->substr(colon + 1));
    if (!is_field_value(value)) return "a header's value has a control character";
    headers.add(std::string(name), std::string(value));
  }
}

bool has_token(const Headers& headers, std::string_view name, std::string_view token) {
  for (const auto& [field, value] : headers.fields()) {
    if (!base::equals_ignore_case(field, name)) continue;
    for (std::string_view element : base::split(value, ',')) {
      if (base::equals_ignore_case(trim_blanks(element), token)) return true;
    }
  }
  return false;
}

BodyFacts read_body_facts(const Headers& headers, bool is_http_1_0) {
  BodyFacts facts;
  int lengths = 0, encodings = 0;
  std::string_view encoding;
  for (const auto& [name, value] : headers.fields()) {
    if (base::equals_ignore_case(name, "Content-Length")) {
      ++lengths;
      facts.length = parse_length(value);
      if (!facts.length) facts.error = "Content-Length is not a number";
    } else if (base::equals_ignore_case(name, "Transfer-Encoding")) {
      ++encodings;
      encoding = value;
    }
  }
  if (lengths > 1) facts.error = "Content-Length is given more than once";
  if (lengths > 0 && encodings > 0) {
    facts.error = "both Content-Length and Transfer-Encoding are given";
  }
  if (encodings > 1) facts.error = "Transfer-Encoding is given more than once";
  if (encodings > 0 && is_http_1_0) facts.error = "Transfer-Encoding is given in HTTP/1.0";
  if (facts.error != nullptr || encodings == 0) return facts;
  facts.is_chunked = base::equals_ignore_case(encoding, "chunked");
  if (!facts.is_chunked) {
    facts.error = "the transfer encoding is not offered, only chunked is";
    facts.status = 501;
  }
  return facts;
}

}  // namespace pelton::net
