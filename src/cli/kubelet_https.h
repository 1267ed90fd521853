// SPDX-License-Identifier: Apache-2.0
// The API server's way to node agents in an embedded cluster: HTTPS on loopback, with the client
// certificate that agents accept.
#pragma once
#include <memory>
#include <string>

#include "apiserver/kubelet_client.h"
#include "net/http_client.h"

namespace pelton::cli {

class KubeletHttps final : public apiserver::KubeletClient {
 public:
  KubeletHttps(world::Network& network, world::Timers& timers, net::TlsContextPtr tls)
      : client_(network, timers), tls_(std::move(tls)) {}

  std::unique_ptr<net::Exchange> send(const std::string& node, const world::Address& address,
                                      net::Request request, net::ResponseEvents events) override {
    // The agent's certificate names its node: an address that another process took over shows.
    return client_.send({address, tls_, node}, std::move(request), std::move(events));
  }

 private:
  net::HttpClient client_;
  net::TlsContextPtr tls_;
};

}  // namespace pelton::cli
