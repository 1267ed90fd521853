// SPDX-License-Identifier: Apache-2.0
#include "net/url.h"

#include "base/strings.h"

namespace pelton::net {
namespace {

uint16_t default_port(std::string_view scheme) {
  return scheme == "https" ? 443 : 80;
}

/// What a host may consist of: an IPv6 address (between brackets), or a name or IPv4 address.
bool is_host(std::string_view host, bool is_bracketed) {
  for (const char c : host) {
    const bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (is_hex || c == '.' || (is_bracketed && c == ':')) continue;
    if (is_bracketed || !(is_letter || c == '-' || c == '_')) return false;
  }
  return !is_bracketed || host.find(':') != std::string_view::npos;
}

}  // namespace

std::string Url::authority() const {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  std::string out = is_ipv6 ? "[" + host + "]" : host;
  if (port != default_port(scheme)) out += ":" + std::to_string(port);
  return out;
}

base::Result<Url> parse_url(std::string_view text) {
  const auto wrong = [text](const std::string& why) {
    return base::invalid_argument("the URL \"" + std::string(text) + "\" " + why);
  };
  Url url;
  const size_t mark = text.find("://");
  if (mark == std::string_view::npos) return wrong("has no scheme: begin it with https://");
  url.scheme = base::to_lower(text.substr(0, mark));
  if (url.scheme != "http" && url.scheme != "https") return wrong("is neither http nor https");
  std::string_view rest = text.substr(mark + 3);
  if (rest.find('#') != std::string_view::npos) return wrong("has a fragment (#)");
  const size_t path = rest.find_first_of("/?");
  std::string_view authority = rest.substr(0, path);
  url.target = path == std::string_view::npos ? "/" : std::string(rest.substr(path));
  if (url.target.front() == '?') url.target.insert(0, "/");
  if (authority.find('@') != std::string_view::npos) return wrong("names a user");

  const bool is_bracketed = authority.starts_with('[');
  const size_t host_end = is_bracketed ? authority.find(']') : authority.find(':');
  if (is_bracketed && host_end == std::string_view::npos) return wrong("has no ] after its host");
  url.host = authority.substr(is_bracketed ? 1 : 0,
                              is_bracketed ? host_end - 1 : std::min(host_end, authority.size()));
  if (url.host.empty()) return wrong("has no host");
  if (!is_host(url.host, is_bracketed)) return wrong("has a host that is no name and no address");
  std::string_view after =
      host_end == std::string_view::npos ? "" : authority.substr(host_end + (is_bracketed ? 1 : 0));
  url.port = default_port(url.scheme);
  if (after.empty()) return url;
  const auto port = base::parse_int(after.substr(1));
  if (after.front() != ':' || !port.ok() || port.value() < 1 || port.value() > 65535) {
    return wrong("has a bad port");
  }
  url.port = static_cast<uint16_t>(port.value());
  return url;
}

}  // namespace pelton::net
