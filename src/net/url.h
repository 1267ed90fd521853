// SPDX-License-Identifier: Apache-2.0
// The little of URLs that we meet: scheme, host, port and target.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace pelton::net {

struct Url {
  std::string scheme;  ///< "http" or "https"
  std::string host;    ///< DNS name or IP literal, an IPv6 one without brackets
  uint16_t port = 0;   ///< the scheme's where none is given
  std::string target;  ///< path and query; "/" where there is none
  /// "host", or "host:port" where the port is not the scheme's: the Host header.
  std::string authority() const;
};

/// InvalidArgument says what is wrong: another scheme, no host, a bad port, user or fragment given.
base::Result<Url> parse_url(std::string_view text);

}  // namespace pelton::net
