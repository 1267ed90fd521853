// SPDX-License-Identifier: Apache-2.0
// The addresses of the embedded cluster: 10.64.0.0/16, one /24 per node. Pure.
#pragma once
#include <cstdint>
#include <set>
#include <string>

#include "base/status.h"

namespace pelton::agent {

/// The bridge, and the name server that listens on it.
constexpr const char* kGatewayAddress = "10.64.0.1";
constexpr int kNetworkPrefixLength = 16;

/// "10.64.1.0/24" for node 0.
std::string pod_cidr(int node_index);

/// Hands out a node's pod addresses: the next after the last one given, so that an address rests as
/// long as possible before a new pod gets it.
class AddressPool {
 public:
  explicit AddressPool(int node_index) : node_index_(node_index) {}
  /// ResourceExhausted where all 253 are in use.
  base::Result<std::string> allocate();
  /// Marks an address as in use: a pod that was running before this agent. InvalidArgument where it
  /// is not one of this node's.
  base::Status adopt(const std::string& address);
  void release(const std::string& address);  ///< an unknown one is fine
  size_t used() const { return used_.size(); }

 private:
  std::string address(int host) const;
  int node_index_;
  int last_ = 1;  ///< .0 is the network, .1 stays free
  std::set<int> used_;
};

}  // namespace pelton::agent
