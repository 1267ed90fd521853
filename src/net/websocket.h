// SPDX-License-Identifier: Apache-2.0
// A WebSocket (RFC 6455) on a connection that has switched to it, either end: messages both ways,
// pings, the close handshake, back-pressure.
//
//   server:  auto connection = sink->switch_protocols(accept_websocket(offer,
//   "v5.channel.k8s.io"));
//            WebSocket socket(timers, random, std::move(connection), Role::Server, events);
//   client:  ask_for_websocket(request, offer); … on_switch: read_websocket_answer(head, offer);
//
// A sender watches queued_bytes() and goes on at on_drained; a receiver that has enough calls
// pause_reading().
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/websocket_codec.h"
#include "world/network.h"
#include "world/random.h"
#include "world/timers.h"

namespace pelton::net {

struct WebSocketOptions {
  size_t max_message_bytes = 1024 * 1024;  ///< a peer that sends more gets close 1009
  /// How often the peer is asked for a sign of life. Zero: never.
  base::Duration ping_interval = base::Duration::seconds(30);
  /// A peer from which nothing at all came for so long is given up, unless we were paused.
  base::Duration silence_limit = base::Duration::minutes(2);
  /// After our close, how long the peer's is waited for.
  base::Duration close_timeout = base::Duration::seconds(5);
};

/// How a WebSocket ended. Ok: both sides closed, the peer with `code`. Unavailable: the connection
/// broke, or the peer was silent. InvalidArgument: the peer broke the protocol.
struct WebSocketEnd {
  WebSocketClose code = WebSocketClose::None;
  base::Status status;
};

/// Never called from within a call to the socket. Any of them may destroy it.
struct WebSocketEvents {
  std::function<void(std::string_view bytes, bool is_text)> on_message;
  std::function<void(const WebSocketEnd&)> on_end;  ///< last, once
  std::function<void()> on_drained = nullptr;       ///< the queue became empty after it was not
};

class WebSocket {
 public:
  using Role = WebSocketCodec::Role;
  WebSocket(world::Timers& timers, world::Random& random,
            std::unique_ptr<world::Connection> connection, Role role, WebSocketEvents events,
            WebSocketOptions options = {});
  /// Cuts the connection where it has not ended; no event comes.
  ~WebSocket();
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;

  /// Queues a message; dropped after close() or the end.
  void send(std::string_view bytes, bool is_text = false);
  size_t queued_bytes() const;
  /// At most the messages of what was read already still come.
  void pause_reading();
  void resume_reading();
  /// Sends what is queued, then a close; on_end comes when the peer has closed too, or is late.
  void close(WebSocketClose code = WebSocketClose::Normal, std::string_view reason = {});

 private:
  void on_data(std::string_view bytes);
  void on_end(const base::Status& status);
  void flush();
  void await_close();
  void end(const base::Status& status);
  void end_when_sent(base::Status status);
  void ping();

  std::unique_ptr<world::Connection> connection_;
  WebSocketCodec codec_;
  WebSocketEvents events_;
  WebSocketOptions options_;
  world::Timer ping_timer_, close_timer_;
  int silent_pings_ = 0;
  bool is_paused_ = false;
  std::optional<base::Status> pending_end_;  ///< told when the last bytes are on their way
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::net
