// SPDX-License-Identifier: Apache-2.0
// HTTP over the simulated network to one port of the simulated server.
#pragma once
#include <memory>

#include "client/transport.h"
#include "net/http_client.h"
#include "scenario/server_process.h"
#include "world/world.h"

namespace pelton::scenario {

class SimTransport final : public client::Transport {
 public:
  SimTransport(const world::World& world, size_t caller)
      : client_(world.network, world.timers, {.connect_timeout = base::Duration::seconds(2)}),
        endpoint_{{ServerProcess::kHost, static_cast<uint16_t>(ServerProcess::kFirstPort + caller)},
                  nullptr,
                  ""} {}
  std::unique_ptr<net::Exchange> send(net::Request request, net::ResponseEvents events) override {
    return client_.send(endpoint_, std::move(request), std::move(events));
  }

 private:
  net::HttpClient client_;
  net::Endpoint endpoint_;
};

}  // namespace pelton::scenario
