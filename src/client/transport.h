// SPDX-License-Identifier: Apache-2.0
// The one way in which Pelton's parts reach a Kubernetes API: HTTPS to any API server, or the
// request pipeline in the same process. Everything else in client/ is built on this.
#pragma once
#include <memory>

#include "net/http.h"

namespace pelton::client {

class Transport {
 public:
  virtual ~Transport() = default;
  /// Sends and reports by events on the loop, never from within this call. The request's identity
  /// is ignored: the transport's own credential counts.
  virtual std::unique_ptr<net::Exchange> send(net::Request request, net::ResponseEvents events) = 0;
};

}  // namespace pelton::client
