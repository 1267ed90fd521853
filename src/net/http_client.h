// SPDX-License-Identifier: Apache-2.0
// An HTTP/1.1 client over any world's network: connections kept per endpoint, answers streamed.
//
// The errors say what the caller may do: Unavailable means that the server has not acted on the
// request, OutcomeUnknown that it may have. A request that met a kept connection which the server
// had just closed is sent once more by itself, where its method may be repeated.
#pragma once
#include <memory>
#include <string>

#include "net/http.h"
#include "net/http1.h"
#include "net/tls.h"
#include "world/network.h"
#include "world/timers.h"

namespace pelton::net {

/// Where and how to reach a server. Two endpoints are the same where all parts are.
struct Endpoint {
  world::Address address;
  TlsContextPtr tls;        ///< null: plain HTTP
  std::string server_name;  ///< for TLS and, where the request has no Host, for it; empty: the host
  auto operator<=>(const Endpoint&) const = default;
};

struct HttpClientOptions {
  base::Duration connect_timeout = base::Duration::seconds(10);  ///< TLS included
  /// From the request to the answer's head. An answer may stream for ever.
  base::Duration head_timeout = base::Duration::seconds(60);
  base::Duration idle_timeout = base::Duration::seconds(90);  ///< of a kept connection
  size_t max_idle_per_endpoint = 64;
  /// Requests beyond these wait for a connection (their head_timeout runs). Streams count.
  size_t max_connections_per_endpoint = 256;
  Limits limits{.max_body_bytes = SIZE_MAX};
};

class HttpClient {
 public:
  HttpClient(world::Network& network, world::Timers& timers, HttpClientOptions options = {});
  /// Abandons everything: no event comes any more.
  ~HttpClient();

  /// Sends; events come later, never from within. Content-Length and Host are added. Destroying the
  /// exchange closes its connection, unless the answer was complete. The request's identity is not
  /// used.
  std::unique_ptr<Exchange> send(const Endpoint& endpoint, Request request, ResponseEvents events);
  size_t connection_count() const;  ///< open ones, kept and in use

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace pelton::net
