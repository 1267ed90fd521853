// SPDX-License-Identifier: Apache-2.0
#include "net/websocket.h"

#include <utility>

namespace pelton::net {

WebSocket::WebSocket(world::Timers& timers, world::Random& random,
                     std::unique_ptr<world::Connection> connection, Role role,
                     WebSocketEvents events, WebSocketOptions options)
    : connection_(std::move(connection)),
      codec_(role, options.max_message_bytes,
             [&random](size_t size) { return random.bytes(size); }),
      events_(std::move(events)),
      options_(options),
      ping_timer_(timers),
      close_timer_(timers) {
  connection_->start({.on_data = [this](std::string_view bytes) { on_data(bytes); },
                      .on_end = [this](const base::Status& status) { on_end(status); },
                      .on_drained =
                          [this] {
                            if (pending_end_) return end(*pending_end_);
                            const auto on_drained = events_.on_drained;
                            if (on_drained) on_drained();
                          }});
  if (options_.ping_interval > base::Duration()) {
    ping_timer_.start(options_.ping_interval, [this] { ping(); });
  }
}

WebSocket::~WebSocket() = default;

void WebSocket::send(std::string_view bytes, bool is_text) {
  if (!connection_) return;
  codec_.send(bytes, is_text);
  flush();
}

size_t WebSocket::queued_bytes() const {
  return connection_ ? connection_->queued_bytes() : 0;
}

void WebSocket::pause_reading() {
  is_paused_ = true;
  if (connection_) connection_->pause_reading();
}

void WebSocket::resume_reading() {
  is_paused_ = false;
  silent_pings_ = 0;
  if (connection_) connection_->resume_reading();
}

void WebSocket::close(WebSocketClose code, std::string_view reason) {
  if (!connection_ || codec_.is_close_sent()) return;
  codec_.close(code, reason);
  flush();
  // The peer's close may stand behind what nobody wants to read any more.
  resume_reading();
  await_close();
}

/// Time runs only while the peer has taken everything: before that it has not seen our close.
void WebSocket::await_close() {
  const size_t queued = queued_bytes();
  close_timer_.start(options_.close_timeout, [this, queued] {
    if (queued > 0) return await_close();
    end(base::unavailable("the peer did not answer the WebSocket's close"));
  });
}

void WebSocket::flush() {
  const std::string output = codec_.take_output();
  if (!output.empty()) connection_->send(output);
}

void WebSocket::ping() {
  if (!is_paused_) ++silent_pings_;
  if (options_.ping_interval * silent_pings_ > options_.silence_limit) {
    return end(base::unavailable("the peer of the WebSocket is silent"));
  }
  codec_.ping();
  flush();
  ping_timer_.start(options_.ping_interval, [this] { ping(); });
}

void WebSocket::on_data(std::string_view bytes) {
  if (pending_end_) return;
  silent_pings_ = 0;
  codec_.feed(bytes);
  flush();
  const std::weak_ptr<bool> alive = alive_;
  const auto on_message = events_.on_message;  // it may destroy this
  WebSocketMessage message;
  while (connection_ && codec_.next(message)) {
    if (on_message) on_message(message.bytes, message.is_text);
    if (alive.expired()) return;
  }
  if (!connection_) return;
  if (codec_.has_failed()) {
    end_when_sent({base::Code::InvalidArgument, "the peer broke the WebSocket protocol"});
  } else if (codec_.is_close_received() && codec_.is_close_sent()) {
    end_when_sent(base::ok());
  }
}

/// Our close is the last that the peer should hear: cut at once it might not.
void WebSocket::end_when_sent(base::Status status) {
  if (pending_end_) return;
  connection_->finish();
  if (connection_->queued_bytes() == 0) return end(status);
  pending_end_ = std::move(status);
  close_timer_.start(options_.close_timeout, [this] { end(*pending_end_); });
}

void WebSocket::on_end(const base::Status& status) {
  if (pending_end_) return end(*pending_end_);
  end(status.ok() ? base::unavailable("the connection ended without a WebSocket close") : status);
}

void WebSocket::end(const base::Status& status) {
  ping_timer_.cancel();
  close_timer_.cancel();
  // Within an event of the connection: it goes last.
  const std::unique_ptr<world::Connection> connection = std::move(connection_);
  const auto on_end = std::exchange(events_.on_end, nullptr);
  if (on_end) on_end({codec_.close_code(), status});
}

}  // namespace pelton::net
