// SPDX-License-Identifier: Apache-2.0
#include "apiserver/request_path.h"

#include "base/strings.h"

namespace pelton::apiserver {

namespace {
/// Fills the part after the version: [namespaces/NS/]resource[/name[/subresource]].
void parse_resource(const std::vector<std::string>& parts, size_t at, RequestPath& out) {
  if (parts.size() - at >= 3 && parts[at] == "namespaces") {
    const bool of_namespace_itself =
        parts.size() - at == 3 && (parts[at + 2] == "status" || parts[at + 2] == "finalize");
    if (!of_namespace_itself) {
      out.ns = parts[at + 1];
      at += 2;
    }
  }
  out.is_resource = parts.size() - at <= 3;
  out.resource = parts[at];
  if (parts.size() - at >= 2) out.name = parts[at + 1];
  if (parts.size() - at >= 3) out.subresource = parts[at + 2];
  if (out.resource == "namespaces" && out.ns.empty()) out.ns = out.name;
}
}  // namespace

RequestPath parse_request_path(std::string_view percent_encoded_path) {
  RequestPath out;
  while (percent_encoded_path.size() > 1 && percent_encoded_path.back() == '/') {
    percent_encoded_path.remove_suffix(1);
  }
  out.path = base::percent_decode(percent_encoded_path);
  if (percent_encoded_path.empty() || percent_encoded_path.front() != '/') return out;

  // Decoded piece by piece: an encoded slash must not make a new piece.
  std::vector<std::string> parts;
  for (std::string_view piece : base::split(percent_encoded_path.substr(1), '/')) {
    parts.push_back(base::percent_decode(piece));
    if (parts.back().empty() || parts.back().find('/') != std::string::npos) return out;
  }
  if (parts.size() >= 3 && parts[0] == "api") {
    out.version = parts[1];
    parse_resource(parts, 2, out);
  } else if (parts.size() >= 4 && parts[0] == "apis") {
    out.group = parts[1];
    out.version = parts[2];
    parse_resource(parts, 3, out);
  }
  return out;
}

}  // namespace pelton::apiserver
