// SPDX-License-Identifier: Apache-2.0
// The way from the API server to a node's kubelet (pod logs, exec), injected: HTTPS with the
// pelton-apiserver client certificate in the real cluster, a direct call in tests.
#pragma once
#include <memory>
#include <string>

#include "net/http.h"
#include "world/network.h"

namespace pelton::apiserver {

class KubeletClient {
 public:
  virtual ~KubeletClient() = default;
  /// Sends to the kubelet of `node` at `address` (the Node's InternalIP and kubelet port); answers
  /// by events on the loop, never from within this call. Destroying the exchange abandons it.
  virtual std::unique_ptr<net::Exchange> send(const std::string& node,
                                              const world::Address& address, net::Request request,
                                              net::ResponseEvents events) = 0;
};

}  // namespace pelton::apiserver
