// SPDX-License-Identifier: Apache-2.0
// The cluster IPs of Services: who has which, and the next free one. Pure.
#pragma once
#include <cstdint>
#include <set>
#include <string>

#include "base/json.h"
#include "base/status.h"

namespace pelton::apiserver {

/// An IPv4 range such as 10.96.0.0/16.
struct IpRange {
  uint32_t first = 0;
  uint32_t count = 0;
  static base::Result<IpRange> parse(std::string_view cidr);
  bool contains(uint32_t ip) const { return ip - first < count; }
};

base::Result<uint32_t> parse_ipv4(std::string_view text);
std::string format_ipv4(uint32_t ip);

/// Gives a new Service its address, in place: "None" stays (headless), one that is asked for must
/// be free and in the range, else the lowest free one beyond the first ten, which are kept for
/// well-known services. ExternalName gets none. `used`: addresses of others. Returns the address
/// taken, "" for none. Invalid names the field.
base::Result<std::string> assign_cluster_ip(base::Json& service, const IpRange& range,
                                            const std::set<std::string>& used);

/// On an update: an address that the user left out stays.
void keep_cluster_ip(const base::Json& before, base::Json& after);

}  // namespace pelton::apiserver
