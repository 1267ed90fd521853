// SPDX-License-Identifier: Apache-2.0
#include "agent/address_pool.h"

#include <algorithm>

#include "base/strings.h"

namespace pelton::agent {
namespace {

constexpr int kFirstHost = 2;
constexpr int kLastHost = 254;

std::string subnet(int node_index) {
  return "10.64." + std::to_string(node_index + 1) + ".";
}

}  // namespace

std::string pod_cidr(int node_index) {
  return subnet(node_index) + "0/24";
}

std::string AddressPool::address(int host) const {
  return subnet(node_index_) + std::to_string(host);
}

base::Result<std::string> AddressPool::allocate() {
  for (int tried = kFirstHost; tried <= kLastHost; ++tried) {
    last_ = last_ >= kLastHost ? kFirstHost : last_ + 1;
    if (used_.insert(last_).second) return address(last_);
  }
  return base::Status(base::Code::ResourceExhausted,
                      "all addresses of " + pod_cidr(node_index_) + " are in use by pods");
}

base::Status AddressPool::adopt(const std::string& text) {
  const std::string prefix = subnet(node_index_);
  if (text.starts_with(prefix)) {
    const auto host = base::parse_int(std::string_view(text).substr(prefix.size()));
    if (host.ok() && *host >= kFirstHost && *host <= kLastHost) {
      used_.insert(static_cast<int>(*host));
      last_ = std::max(last_, static_cast<int>(*host));
      return base::ok();
    }
  }
  return base::invalid_argument("address " + text + " is not of " + pod_cidr(node_index_));
}

void AddressPool::release(const std::string& text) {
  const std::string prefix = subnet(node_index_);
  if (!text.starts_with(prefix)) return;
  const auto host = base::parse_int(std::string_view(text).substr(prefix.size()));
  if (host.ok()) used_.erase(static_cast<int>(*host));
}

}  // namespace pelton::agent
