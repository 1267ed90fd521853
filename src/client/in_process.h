// SPDX-License-Identifier: Apache-2.0
// A Transport into a request pipeline of the same process.
//
// The pipeline is a net::Handler; requests carry `identity` as if a connection had proved it.
// Everything crosses the loop once in each direction, so that code cannot come to depend on
// answers that arrive from within a call: both worlds behave alike.
#pragma once
#include <memory>

#include "client/transport.h"
#include "world/timers.h"

namespace pelton::client {

class InProcessTransport final : public Transport {
 public:
  InProcessTransport(net::Handler handler, net::Identity identity, world::Timers& timers);
  std::unique_ptr<net::Exchange> send(net::Request request, net::ResponseEvents events) override;

 private:
  net::Handler handler_;
  net::Identity identity_;
  world::Timers& timers_;
};

}  // namespace pelton::client
