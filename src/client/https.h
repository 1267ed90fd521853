// SPDX-License-Identifier: Apache-2.0
// A Transport to any Kubernetes API server, as a kubeconfig describes it.
#pragma once
#include <memory>
#include <string>

#include "base/status.h"
#include "client/kubeconfig.h"
#include "client/transport.h"
#include "net/http_client.h"
#include "world/network.h"
#include "world/timers.h"

namespace pelton::client {

class HttpsTransport final : public Transport {
 public:
  /// `network` and `timers` must outlive it. InvalidArgument: the server's URL or a PEM cannot be
  /// used. A name of a server other than "localhost" must be an IP literal: world::Network resolves
  /// no names.
  static base::Result<std::unique_ptr<HttpsTransport>> make(world::Network& network,
                                                            world::Timers& timers,
                                                            const Kubeconfig& config);
  std::unique_ptr<net::Exchange> send(net::Request request, net::ResponseEvents events) override;

 private:
  HttpsTransport(world::Network& network, world::Timers& timers, net::Endpoint endpoint,
                 std::string prefix, std::string token);
  net::HttpClient http_;
  net::Endpoint endpoint_;
  std::string prefix_;  ///< path of the server's URL, without a slash at its end
  std::string token_;
};

}  // namespace pelton::client
