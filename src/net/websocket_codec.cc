// SPDX-License-Identifier: Apache-2.0
#include "net/websocket_codec.h"

#include <wslay/wslay.h>

#include <cstring>

namespace pelton::net {
namespace {

uint8_t const* as_bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

}  // namespace

/// wslay's context, and the two buffers that it reads from and writes to.
struct WebSocketCodec::Wire {
  wslay_event_context_ptr context = nullptr;
  std::function<std::string(size_t)> mask;
  std::string_view input;
  std::string output;
  std::deque<WebSocketMessage> messages;
  bool has_failed = false;

  static Wire& of(void* user_data) { return *static_cast<Wire*>(user_data); }

  static ssize_t on_recv(wslay_event_context_ptr context, uint8_t* buffer, size_t size, int,
                         void* user_data) {
    Wire& wire = of(user_data);
    if (wire.input.empty()) {
      wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
      return -1;
    }
    const size_t taken = std::min(size, wire.input.size());
    std::memcpy(buffer, wire.input.data(), taken);
    wire.input.remove_prefix(taken);
    return static_cast<ssize_t>(taken);
  }

  static ssize_t on_send(wslay_event_context_ptr, const uint8_t* bytes, size_t size, int,
                         void* user_data) {
    of(user_data).output.append(reinterpret_cast<const char*>(bytes), size);
    return static_cast<ssize_t>(size);
  }

  static int on_mask(wslay_event_context_ptr, uint8_t* buffer, size_t size, void* user_data) {
    const std::string bytes = of(user_data).mask(size);
    std::memcpy(buffer, bytes.data(), size);
    return 0;
  }

  static void on_message(wslay_event_context_ptr, const wslay_event_on_msg_recv_arg* arg,
                         void* user_data) {
    if (arg->opcode != WSLAY_TEXT_FRAME && arg->opcode != WSLAY_BINARY_FRAME) return;
    of(user_data).messages.push_back(
        {arg->opcode == WSLAY_TEXT_FRAME,
         std::string(reinterpret_cast<const char*>(arg->msg), arg->msg_length)});
  }

  void queue(uint8_t opcode, std::string_view bytes) {
    const wslay_event_msg message{opcode, as_bytes(bytes), bytes.size()};
    // Refused after a close, which is what is wanted.
    wslay_event_queue_msg(context, &message);
  }
};

WebSocketCodec::WebSocketCodec(Role role, size_t max_message_bytes,
                               std::function<std::string(size_t)> mask)
    : wire_(std::make_unique<Wire>()) {
  wire_->mask = std::move(mask);
  wslay_event_callbacks callbacks{};
  callbacks.recv_callback = Wire::on_recv;
  callbacks.send_callback = Wire::on_send;
  callbacks.genmask_callback = Wire::on_mask;
  callbacks.on_msg_recv_callback = Wire::on_message;
  const auto init =
      role == Role::Server ? wslay_event_context_server_init : wslay_event_context_client_init;
  PELTON_CHECK(init(&wire_->context, &callbacks, wire_.get()) == 0);
  wslay_event_config_set_max_recv_msg_length(wire_->context, max_message_bytes);
}

WebSocketCodec::~WebSocketCodec() {
  wslay_event_context_free(wire_->context);
}

void WebSocketCodec::feed(std::string_view bytes) {
  if (has_failed() || is_close_received()) return;
  wire_->input = bytes;
  if (wslay_event_recv(wire_->context) != 0) wire_->has_failed = true;
  wire_->input = {};
  // wslay answers an error with a close and reads no more.
  if (!is_close_received() && wslay_event_get_read_enabled(wire_->context) == 0) {
    wire_->has_failed = true;
  }
}

bool WebSocketCodec::next(WebSocketMessage& message) {
  if (wire_->messages.empty()) return false;
  message = std::move(wire_->messages.front());
  wire_->messages.pop_front();
  return true;
}

void WebSocketCodec::send(std::string_view bytes, bool is_text) {
  wire_->queue(is_text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, bytes);
}

void WebSocketCodec::ping() {
  wire_->queue(WSLAY_PING, {});
}

void WebSocketCodec::close(WebSocketClose code, std::string_view reason) {
  constexpr size_t kMaxReason = 123;  // a control frame holds 125 bytes, the code is two
  reason = reason.substr(0, kMaxReason);
  wslay_event_queue_close(wire_->context, static_cast<uint16_t>(code), as_bytes(reason),
                          reason.size());
}

std::string WebSocketCodec::take_output() {
  if (wslay_event_want_write(wire_->context) != 0) wslay_event_send(wire_->context);
  return std::exchange(wire_->output, {});
}

bool WebSocketCodec::is_close_sent() const {
  return wslay_event_get_close_sent(wire_->context) != 0;
}

bool WebSocketCodec::is_close_received() const {
  return wslay_event_get_close_received(wire_->context) != 0;
}

bool WebSocketCodec::has_failed() const {
  return wire_->has_failed;
}

WebSocketClose WebSocketCodec::close_code() const {
  const uint16_t code = wslay_event_get_status_code_received(wire_->context);
  return code == 0 ? WebSocketClose::None : static_cast<WebSocketClose>(code);
}

}  // namespace pelton::net
