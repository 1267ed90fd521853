// SPDX-License-Identifier: Apache-2.0
// An HTTP/1.1 server over any world's network, with TLS or without.
//
// Each connection handles one request at a time and keeps later, pipelined ones waiting. A handler
// answers through its sink whenever it likes, for as long as it likes. Answers written within one
// turn of the loop go out together.
#pragma once
#include <functional>
#include <memory>

#include "net/http.h"
#include "net/http1.h"
#include "net/tls.h"
#include "world/network.h"
#include "world/timers.h"

namespace pelton::net {

struct HttpServerOptions {
  Limits limits;
  /// From the connection (or a request's first byte) to the end of its head; TLS included.
  base::Duration head_timeout = base::Duration::seconds(15);
  /// Between two pieces of a request's body.
  base::Duration body_timeout = base::Duration::seconds(30);
  /// A connection without a request is closed after this.
  base::Duration idle_timeout = base::Duration::minutes(3);
  /// With an answer under way, how long a peer may take nothing at all before it is cut.
  base::Duration send_timeout = base::Duration::minutes(1);
  size_t max_connections = 10'000;  ///< further ones are closed at once
};

class HttpServer {
 public:
  /// `tls` may be null: plain HTTP. The handler is called with Request::identity set from the
  /// client's certificate.
  HttpServer(world::Network& network, world::Timers& timers, TlsContextPtr tls, Handler handler,
             HttpServerOptions options = {});
  /// Closes everything at once; sinks that handlers still hold turn gone, without on_gone.
  ~HttpServer();

  /// Accepts at one more address. Unavailable where it is taken.
  base::Result<world::Address> listen(const world::Address& address);
  /// Accepts no more, lets answers under way end within `grace`, cuts the rest (on_gone is
  /// called), then calls `done` once.
  void stop(base::Duration grace, std::function<void()> done);
  size_t connection_count() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace pelton::net
