// SPDX-License-Identifier: Apache-2.0
// WebSocket frames from arbitrary bytes: no crash, the limit held, the same however it is cut, and
// what a codec sends is understood by its peer. The first byte chooses the role.
#include <cstdint>
#include <string>

#include "net/websocket_codec.h"

namespace pelton::net {
namespace {

constexpr size_t kMaxMessage = 512;
using Role = WebSocketCodec::Role;

std::string no_mask(size_t size) {
  return std::string(size, '\x5a');
}

/// The messages that the codec understood of the bytes, in pieces of `step`. Not its answers: how
/// they interleave depends on the pieces, and wslay sees that a close's reason is no UTF-8 in some
/// of them only. A message after a failure or a close would show.
std::string read(Role role, std::string_view bytes, size_t step) {
  WebSocketCodec codec(role, kMaxMessage, no_mask);
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += step) {
    const bool is_over = codec.has_failed() || codec.is_close_received();
    codec.feed(bytes.substr(at, step));
    WebSocketMessage message;
    while (codec.next(message)) {
      PELTON_CHECK(!is_over && message.bytes.size() <= kMaxMessage);
      out += (message.is_text ? "t" : "b") + message.bytes + '\0';
    }
    codec.take_output();
  }
  return out;
}

void check_round_trip(std::string_view bytes) {
  WebSocketCodec client(Role::Client, kMaxMessage, no_mask);
  WebSocketCodec server(Role::Server, kMaxMessage, no_mask);
  bytes = bytes.substr(0, kMaxMessage);
  client.send(bytes, false);
  server.feed(client.take_output());
  WebSocketMessage message;
  PELTON_CHECK(server.next(message) && message.bytes == bytes && !message.is_text);
}

}  // namespace
}  // namespace pelton::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using pelton::net::WebSocketCodec;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto role =
      (data[0] & 1) != 0 ? WebSocketCodec::Role::Server : WebSocketCodec::Role::Client;
  const std::string whole = pelton::net::read(role, bytes, size);
  for (const size_t step : {size_t{1}, size_t{5}}) {
    PELTON_CHECK(pelton::net::read(role, bytes, step) == whole);
  }
  pelton::net::check_round_trip(bytes);
  return 0;
}
