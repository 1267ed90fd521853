// SPDX-License-Identifier: Apache-2.0
#include "net/channel.h"

#include <utility>

namespace pelton::net {
namespace {

/// An outbox of this size does not wait for the end of the turn: memory stays small.
constexpr size_t kFlushSize = 256 * 1024;
/// What is as large as this, and has nothing before it, leaves without a copy.
constexpr size_t kDirectSize = 64 * 1024;

}  // namespace

Channel::Channel(world::Timers& timers, std::unique_ptr<world::Connection> connection,
                 std::unique_ptr<TlsSession> tls, ChannelEvents events)
    : timers_(timers),
      connection_(std::move(connection)),
      tls_(std::move(tls)),
      events_(std::move(events)) {}

std::shared_ptr<Channel> Channel::make(world::Timers& timers,
                                       std::unique_ptr<world::Connection> connection,
                                       std::unique_ptr<TlsSession> tls, ChannelEvents events) {
  std::shared_ptr<Channel> channel(
      new Channel(timers, std::move(connection), std::move(tls), std::move(events)));
  channel->start();
  return channel;
}

void Channel::start() {
  const std::weak_ptr<Channel> weak = weak_from_this();
  connection_->start({.on_data =
                          [weak](std::string_view bytes) {
                            if (const auto self = weak.lock()) self->on_data(bytes);
                          },
                      .on_end =
                          [weak](base::Status status) {
                            if (const auto self = weak.lock()) self->on_end(std::move(status));
                          },
                      .on_drained =
                          [weak] {
                            const auto self = weak.lock();
                            if (self && self->connection_ && self->events_.on_drained) {
                              self->events_.on_drained();
                            }
                          }});
  if (tls_) connection_->send(tls_->take_ciphertext());
}

const Identity& Channel::peer() const {
  static const Identity kNobody;
  return tls_ ? tls_->peer() : kNobody;
}

world::Address Channel::peer_address() const {
  return connection_ ? connection_->peer() : world::Address();
}

void Channel::send(std::string_view bytes) {
  if (!connection_ || is_finishing_ || bytes.empty()) return;
  if (outbox_.empty() && bytes.size() >= kDirectSize) return write(bytes);
  outbox_.append(bytes);
  schedule_flush();
}

void Channel::schedule_flush() {
  if (outbox_.size() >= kFlushSize) return flush();
  if (is_flush_scheduled_) return;
  is_flush_scheduled_ = true;
  timers_.post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->flush();
  });
}

void Channel::flush() {
  is_flush_scheduled_ = false;
  if (!connection_) return outbox_.clear();
  write(outbox_);
  outbox_.clear();
  if (outbox_.capacity() > kFlushSize) outbox_.shrink_to_fit();
}

void Channel::write(std::string_view bytes) {
  if (tls_) {
    if (!bytes.empty()) tls_->send(bytes);
    connection_->send(tls_->take_ciphertext());
  } else if (!bytes.empty()) {
    connection_->send(bytes);
  }
}

size_t Channel::queued_bytes() const {
  return outbox_.size() + (connection_ ? connection_->queued_bytes() : 0);
}

void Channel::finish() {
  if (!connection_ || is_finishing_) return;
  flush();
  is_finishing_ = true;
  if (tls_) {
    tls_->close();
    connection_->send(tls_->take_ciphertext());
  }
  connection_->finish();
}

void Channel::close() {
  connection_.reset();
  outbox_.clear();
}

void Channel::pause_reading() {
  if (connection_) connection_->pause_reading();
}

void Channel::resume_reading() {
  if (connection_) connection_->resume_reading();
}

void Channel::on_data(std::string_view bytes) {
  if (!connection_ || has_ended_) return;
  if (tls_) return on_ciphertext(bytes);
  if (events_.on_data) events_.on_data(bytes);
}

void Channel::on_ciphertext(std::string_view bytes) {
  const bool was_open = is_open();
  plaintext_.clear();
  base::Status status = tls_->receive(bytes, plaintext_);
  // A handshake's next flight, or the alert that says why there is none.
  if (std::string answer = tls_->take_ciphertext(); !answer.empty()) connection_->send(answer);
  if (!was_open && is_open() && events_.on_open) events_.on_open();
  if (connection_ && !plaintext_.empty() && events_.on_data) events_.on_data(plaintext_);
  if (!connection_) return;
  if (!status.ok() || tls_->is_closed_by_peer()) end(std::move(status));
}

void Channel::on_end(base::Status status) {
  if (!connection_ || has_ended_) return;
  if (tls_ && status.ok()) {
    status = base::unavailable(tls_->is_established()
                                   ? "the connection to " + connection_->peer().to_string() +
                                         " ended without TLS's close"
                                   : "the peer " + connection_->peer().to_string() +
                                         " ended the connection within the TLS handshake");
  }
  end(std::move(status));
}

void Channel::end(base::Status status) {
  has_ended_ = true;
  if (events_.on_end) events_.on_end(std::move(status));
}

}  // namespace pelton::net
