// SPDX-License-Identifier: Apache-2.0
// WebSocket (RFC 6455) as a codec over wslay: bytes to messages and back; no sockets, no time.
//
// Pings are answered, a close is answered by a close, and a peer that breaks the protocol (or sends
// a message over the limit) gets the close code that says why. net/websocket.h is the rest.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/http.h"

namespace pelton::net {

/// Close codes that we use; RFC 6455, 7.4.1.
enum class WebSocketClose : uint16_t {
  Normal = 1000,
  GoingAway = 1001,
  ProtocolError = 1002,
  None = 1005,  ///< never sent: the peer closed without a code
  InvalidText = 1007,
  TooBig = 1009,
  InternalError = 1011,
};

struct WebSocketMessage {
  bool is_text = false;
  std::string bytes;
};

class WebSocketCodec {
 public:
  enum class Role : uint8_t { Server, Client };
  /// A client masks what it sends by `mask`, which gives so many unpredictable bytes.
  WebSocketCodec(Role role, size_t max_message_bytes, std::function<std::string(size_t)> mask);
  ~WebSocketCodec();
  WebSocketCodec(const WebSocketCodec&) = delete;
  WebSocketCodec& operator=(const WebSocketCodec&) = delete;

  /// Takes bytes of the peer; nothing after a close or an error. What they complete is then in
  /// next(), what they demand in take_output().
  void feed(std::string_view bytes);
  /// The next complete message; false where there is none.
  bool next(WebSocketMessage& message);

  // Each adds to the output; nothing after close().
  void send(std::string_view bytes, bool is_text);
  void ping();
  void close(WebSocketClose code, std::string_view reason);
  std::string take_output();

  bool is_close_sent() const;  ///< nothing can be sent any more
  bool is_close_received() const;
  /// The peer broke the protocol, or sent a message over the limit; our close says so.
  bool has_failed() const;
  /// The code of the peer's close; None where it gave none.
  WebSocketClose close_code() const;

 private:
  struct Wire;
  std::unique_ptr<Wire> wire_;
};

// ---- the handshake ----------------------------------------------------------------------------

/// What a client asks for.
struct WebSocketOffer {
  std::string key;
  std::vector<std::string> protocols;  ///< in the client's order; may be empty
};

/// InvalidArgument names the header that is missing or not understood (400; for a version other
/// than 13 the answer should carry Sec-WebSocket-Version: 13).
base::Result<WebSocketOffer> read_websocket_offer(const Request& request);
/// The answer that accepts it: 101. `protocol` is one of those offered, or "" for none.
ResponseHead accept_websocket(const WebSocketOffer& offer, std::string_view protocol);

/// Adds the client's headers to a GET; `key` is 16 random bytes in base64.
void ask_for_websocket(Request& request, const WebSocketOffer& offer);
/// The protocol chosen by the server's 101 ("" for none). InvalidArgument where the answer is not
/// to this offer.
base::Result<std::string> read_websocket_answer(const ResponseHead& head,
                                                const WebSocketOffer& offer);

}  // namespace pelton::net
