// SPDX-License-Identifier: Apache-2.0
#include "apiserver/call.h"

#include "base/strings.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;

Query::Query(std::string_view target) {
  const size_t mark = target.find('?');
  if (mark == std::string_view::npos) return;
  for (std::string_view pair : base::split(target.substr(mark + 1), '&')) {
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    std::string value;
    if (equals != std::string_view::npos)
      value = base::percent_decode(pair.substr(equals + 1), true);
    parameters_.emplace_back(base::percent_decode(pair.substr(0, equals), true), std::move(value));
  }
}

const std::string* Query::find(std::string_view name) const {
  for (const auto& [n, value] : parameters_) {
    if (n == name) return &value;
  }
  return nullptr;
}

const std::string& Query::get(std::string_view name) const {
  static const std::string kEmpty;
  const std::string* value = find(name);
  return value == nullptr ? kEmpty : *value;
}

std::vector<std::string> Query::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [n, value] : parameters_) {
    if (n == name) values.push_back(value);
  }
  return values;
}

std::optional<bool> Query::boolean(std::string_view name) const {
  if (!has(name)) return std::nullopt;
  const std::string value = base::to_lower(get(name));
  return value != "0" && value != "false";
}

Result<std::optional<int64_t>> Query::integer(std::string_view name) const {
  const std::string& value = get(name);
  if (value.empty()) return std::optional<int64_t>();
  Result<int64_t> number = base::parse_int(value);
  if (!number.ok() || *number < 0) {
    return bad_request("query parameter " + std::string(name) + "=" + value +
                       ": want an integer that is not negative");
  }
  return std::optional<int64_t>(*number);
}

namespace {
void add_warnings(const Call& call, net::Headers& headers) {
  for (const std::string& text : call.warnings) {
    std::string value = "299 - \"";
    for (char c : text) {
      if (c == '"' || c == '\\') value.push_back('\\');
      value.push_back(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
    }
    headers.add("Warning", value + "\"");
  }
}

void tell(Call& call, int code) {
  if (call.on_answer) std::exchange(call.on_answer, nullptr)(call, code);
}
}  // namespace

void answer_bytes(Call& call, int code, std::string_view body) {
  net::ResponseHead head;
  head.status = code;
  head.headers.add("Content-Type", "application/json");
  head.headers.add("Content-Length", std::to_string(body.size()));
  head.headers.add("Cache-Control", "no-cache, private");
  add_warnings(call, head.headers);
  tell(call, code);
  call.sink->head(std::move(head));
  call.sink->write(body);
  call.sink->end();
}

void answer_json(Call& call, int code, const Json& body) {
  answer_bytes(call, code, body.dump() + "\n");
}

void answer_failure(Call& call, const base::Status& status) {
  answer_json(call, http_code(status), failure_object(status, call.subject));
}

void note_switched(Call& call) {
  tell(call, 101);
}

void start_stream(Call& call, std::string content_type) {
  net::ResponseHead head;
  head.headers.add("Content-Type", std::move(content_type));
  head.headers.add("Cache-Control", "no-cache, private");
  add_warnings(call, head.headers);
  tell(call, head.status);
  call.sink->head(std::move(head));
}

}  // namespace pelton::apiserver
