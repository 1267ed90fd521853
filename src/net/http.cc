// SPDX-License-Identifier: Apache-2.0
#include "net/http.h"

#include "net/http1_syntax.h"

namespace pelton::net {

std::string_view Request::path() const {
  return std::string_view(target).substr(0, target.find('?'));
}

std::optional<std::string> Request::query(std::string_view name) const {
  const size_t mark = target.find('?');
  if (mark == std::string::npos) return std::nullopt;
  for (std::string_view pair : base::split(std::string_view(target).substr(mark + 1), '&')) {
    const size_t equals = pair.find('=');
    if (base::percent_decode(pair.substr(0, equals), true) != name) continue;
    if (equals == std::string_view::npos) return "";
    return base::percent_decode(pair.substr(equals + 1), true);
  }
  return std::nullopt;
}

bool asks_to_switch(const Request& request, std::string_view protocol) {
  return has_token(request.headers, "Connection", "upgrade") &&
         has_token(request.headers, "Upgrade", protocol);
}

void ResponseSink::respond(int status, std::string_view content_type, std::string_view body) {
  ResponseHead answer;
  answer.status = status;
  answer.headers.add("Content-Type", std::string(content_type));
  answer.headers.add("Content-Length", std::to_string(body.size()));
  head(std::move(answer));
  write(body);
  end();
}

}  // namespace pelton::net
