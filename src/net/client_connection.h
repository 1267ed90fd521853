// SPDX-License-Identifier: Apache-2.0
// One call of a client, and one connection that carries calls one after the other. Internal to
// net/.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "net/channel.h"
#include "net/http1.h"
#include "net/http_client.h"
#include "net/switched.h"

namespace pelton::net {

class ClientConnection;

/// A request on its way and who is told. Shared by the client and whatever connection carries it.
struct Call {
  Call(world::Timers& timers, const Endpoint& to, ResponseEvents who)
      : endpoint(to), events(std::move(who)), head_timer(timers) {}

  Endpoint endpoint;
  std::string method;
  std::string bytes;  ///< the request as sent
  ResponseEvents events;
  world::Timer head_timer;
  std::weak_ptr<ClientConnection> connection;
  bool was_sent = false;  ///< some of it was given to a connection that stands
  bool was_retried = false;
  bool is_over = false;  ///< ended or abandoned: nobody is told any more

  /// GET, HEAD, OPTIONS: changes nothing, so it may be sent twice and never has an unknown outcome.
  bool is_safe() const { return method == "GET" || method == "HEAD" || method == "OPTIONS"; }
  /// The code that tells the caller whether the server may have acted.
  base::Status failure(const base::Status& cause) const;
  /// Tells the end, once.
  void end(base::Status status);
};
using CallPtr = std::shared_ptr<Call>;

class ClientConnection : public std::enable_shared_from_this<ClientConnection> {
 public:
  /// What the client is told. `on_free`: the call is complete, another may be carried. `on_closed`:
  /// no more can; with the call that it was carrying, unless that is over, and why.
  struct Events {
    std::function<void(const std::shared_ptr<ClientConnection>&)> on_free;
    std::function<void(const std::shared_ptr<ClientConnection>&, CallPtr, base::Status)> on_closed;
  };

  ClientConnection(world::Timers& timers, uint64_t id, const Endpoint& endpoint,
                   const Limits& limits, Events events)
      : timers_(timers),
        id_(id),
        endpoint_(endpoint),
        reader_(limits),
        events_(std::move(events)),
        timer_(timers) {}

  void start(std::unique_ptr<world::Connection> connection, base::Duration handshake_timeout);
  /// Carries this call, at once or when the TLS handshake is done.
  void carry(CallPtr call);
  /// Closes itself after this time; carry() forgets it.
  void rest(base::Duration idle_timeout);
  /// Ends without telling anybody.
  void close();
  uint64_t id() const { return id_; }
  const Endpoint& endpoint() const { return endpoint_; }
  bool was_used() const { return was_used_; }  ///< carried a complete call before this one
  bool has_answer_begun() const { return reader_.has_begun(); }

 private:
  void send_call();
  void on_data(std::string_view bytes);
  void on_end(base::Status status);
  /// Tells what the reader gives. False where the call is not being read any more.
  bool deliver(ResponseReader::Event event);
  void complete();
  void give_away(const ResponseHead& head);
  void fail(base::Status status);
  void limit_handshake();

  world::Timers& timers_;
  const uint64_t id_;
  Endpoint endpoint_;
  ResponseReader reader_;
  Events events_;
  world::Timer timer_;  ///< of the handshake, then of rest
  std::shared_ptr<Channel> channel_;
  CallPtr call_;
  std::shared_ptr<SwitchedStream> switched_;  ///< after the server switched protocols
  base::Duration handshake_timeout_;
  bool was_used_ = false;
  bool is_closed_ = false;
};

}  // namespace pelton::net
