// SPDX-License-Identifier: Apache-2.0
#include "net/server_connection.h"

#include <algorithm>
#include <utility>

namespace pelton::net {
namespace {

/// Pipelined bytes that are kept while an answer is under way, and answers that are kept for a peer
/// that does not read, before we stop reading from it.
constexpr size_t kMaxEarlyBytes = 64 * 1024;
constexpr size_t kMaxQueuedAnswers = 1024 * 1024;
/// After our last byte, how long the peer may go on sending before it is cut: closing earlier could
/// reset the connection and lose that last answer on its way.
constexpr base::Duration kLinger = base::Duration::seconds(2);

}  // namespace

class ServerConnection::Sink final : public ResponseSink {
 public:
  explicit Sink(std::weak_ptr<ServerConnection> connection) : connection_(std::move(connection)) {}
  ~Sink() override {
    if (const auto connection = std::exchange(connection_, {}).lock()) {
      connection->abandon_answer();
    }
  }
  void head(ResponseHead head) override {
    if (const auto connection = connection_.lock()) connection->write_head(head);
  }
  void write(std::string_view bytes) override {
    if (const auto connection = connection_.lock()) connection->write(bytes);
  }
  void end() override {
    on_gone_ = nullptr;
    // Detached first: the next request may be handled from within.
    if (const auto connection = std::exchange(connection_, {}).lock()) connection->end_answer();
    has_ended_ = true;
  }
  size_t backlog() const override {
    const auto connection = connection_.lock();
    return connection ? connection->backlog() : 0;
  }
  bool is_gone() const override { return !has_ended_ && connection_.expired(); }
  void on_gone(std::function<void()> gone) override { on_gone_ = std::move(gone); }
  std::unique_ptr<world::Connection> switch_protocols(const ResponseHead& head) override {
    on_gone_ = nullptr;
    has_ended_ = true;
    const auto connection = std::exchange(connection_, {}).lock();
    return connection ? connection->switch_protocols(head) : nullptr;
  }

  /// The peer left, or the server closes.
  void detach(bool tell_handler) {
    connection_.reset();
    const auto gone = std::exchange(on_gone_, nullptr);
    if (tell_handler && gone) gone();
  }

 private:
  std::weak_ptr<ServerConnection> connection_;
  std::function<void()> on_gone_;
  bool has_ended_ = false;
};

void ServerConnection::start(world::Timers& timers, std::unique_ptr<world::Connection> connection,
                             std::unique_ptr<TlsSession> tls) {
  const std::weak_ptr<ServerConnection> weak = weak_from_this();
  channel_ = Channel::make(timers, std::move(connection), std::move(tls),
                           {.on_open =
                                [weak] {
                                  if (const auto self = weak.lock()) self->update_phase();
                                },
                            .on_data =
                                [weak](std::string_view bytes) {
                                  if (const auto self = weak.lock()) self->on_data(bytes);
                                },
                            .on_end =
                                [weak](base::Status status) {
                                  if (const auto self = weak.lock())
                                    self->on_end(std::move(status));
                                },
                            .on_drained =
                                [weak] {
                                  const auto self = weak.lock();
                                  if (!self) return;
                                  if (self->switched_) return self->switched_->on_drained();
                                  self->pump();
                                }});
  // A first request has to come soon, with TLS or without.
  enter(Phase::Opening);
}

base::Duration ServerConnection::time_allowed() const {
  switch (phase_) {
    case Phase::Opening:
    case Phase::Head:
      return shared_->options.head_timeout;
    case Phase::Body:
      return shared_->options.body_timeout;
    case Phase::Idle:
      return shared_->options.idle_timeout;
    case Phase::Closing:
      return kLinger;
    case Phase::Answering:
    case Phase::Switched:
      break;
  }
  return base::Duration::max();
}

void ServerConnection::enter(Phase phase) {
  phase_ = phase;
  ticks_left_ = time_allowed().ns() / shared_->tick.ns() + 1;
}

void ServerConnection::sweep() {
  if (phase_ == Phase::Switched) return;  // whoever speaks there has limits of its own
  if (is_closed_ || is_slow_to_take()) return close(true);
  if (phase_ == Phase::Answering || --ticks_left_ > 0) return;
  if (phase_ == Phase::Head || phase_ == Phase::Body) {
    return reject({408, "the request did not arrive in time"});
  }
  close(true);
}

bool ServerConnection::is_slow_to_take() {
  const auto queued = static_cast<int64_t>(channel_->queued_bytes());
  // With TLS the queue is a little longer than what we wrote: a small error that evens out.
  const int64_t taken = bytes_out_ - queued;
  if (queued == 0 || taken > bytes_taken_) {
    bytes_taken_ = taken;
    ticks_without_taking_ = 0;
    return false;
  }
  return ++ticks_without_taking_ > shared_->options.send_timeout.ns() / shared_->tick.ns();
}

void ServerConnection::on_data(std::string_view bytes) {
  if (phase_ == Phase::Closing || is_closed_) return;  // read and dropped: see kLinger
  if (switched_) return switched_->on_data(bytes);
  reader_.feed(bytes);
  if (phase_ == Phase::Body) enter(Phase::Body);  // it goes on: new time
  pump();
}

void ServerConnection::on_end(base::Status status) {
  if (!switched_) return close(true);
  const auto switched = switched_;  // who is told may let go of it, and so of this connection
  switched->on_end(std::move(status));
}

bool ServerConnection::takes_requests() const {
  return !is_closed_ && phase_ != Phase::Answering && phase_ != Phase::Closing &&
         phase_ != Phase::Switched && channel_->queued_bytes() < kMaxQueuedAnswers;
}

/// Handles requests while there are complete ones and no answer is under way.
void ServerConnection::pump() {
  if (is_pumping_ || is_closed_) return;
  is_pumping_ = true;
  const auto self = shared_from_this();
  while (takes_requests()) {
    std::optional<Request> request = reader_.next();
    if (request) {
      handle(std::move(*request));
    } else if (reader_.error()) {
      reject(*reader_.error());
    } else {
      if (reader_.take_wants_continue()) channel_->send("HTTP/1.1 100 Continue\r\n\r\n");
      update_phase();
      break;
    }
  }
  is_pumping_ = false;
  if (!is_closed_ && phase_ != Phase::Switched) limit_reading();
}

void ServerConnection::update_phase() {
  const Phase next = reader_.is_in_body()                               ? Phase::Body
                     : reader_.is_in_head() || phase_ == Phase::Opening ? Phase::Head
                                                                        : Phase::Idle;
  // The time for a head runs from its first byte (for the first one, from the beginning), however
  // many pieces it comes in.
  if (phase_ == Phase::Opening && next == Phase::Head) {
    phase_ = Phase::Head;
  } else if (next != phase_) {
    enter(next);
  }
}

void ServerConnection::limit_reading() {
  const bool is_full =
      reader_.buffered_bytes() > kMaxEarlyBytes &&
      (phase_ == Phase::Answering || channel_->queued_bytes() >= kMaxQueuedAnswers);
  if (is_full == is_paused_) return;
  is_paused_ = is_full;
  if (is_full) {
    channel_->pause_reading();
  } else {
    channel_->resume_reading();
  }
}

void ServerConnection::handle(Request request) {
  enter(Phase::Answering);
  is_head_request_ = request.method == "HEAD";
  has_head_ = false;
  keeps_alive_ = reader_.keeps_alive();
  request.identity = channel_->peer();
  const auto sink = std::make_shared<Sink>(weak_from_this());
  sink_ = sink;
  shared_->handler(std::move(request), sink);
}

void ServerConnection::reject(const Http1Error& error) {
  enter(Phase::Answering);
  is_head_request_ = false;
  has_head_ = false;
  keeps_alive_ = false;
  ResponseHead head;
  head.status = error.status;
  const std::string body = error.message + "\n";
  head.headers.add("Content-Type", "text/plain; charset=utf-8");
  head.headers.add("Content-Length", std::to_string(body.size()));
  write_head(head);
  write(body);
  end_answer();
}

void ServerConnection::write_head(const ResponseHead& head) {
  if (is_closed_ || has_head_) return;
  has_head_ = true;
  keeps_alive_ = keeps_alive_ && !shared_->is_stopping;
  std::string& out = channel_->outbox();
  const size_t before = out.size();
  framing_ = write_response_head(out, head, is_head_request_, reader_.is_http_1_0(), keeps_alive_);
  if (framing_.kind == BodyReader::Kind::UntilClose) keeps_alive_ = false;
  declared_left_ = framing_.length;
  sent(out.size() - before);
}

void ServerConnection::sent(size_t bytes) {
  bytes_out_ += static_cast<int64_t>(bytes);
  channel_->sent_directly();
}

void ServerConnection::write(std::string_view bytes) {
  if (is_closed_ || !has_head_) return;
  if (framing_.kind == BodyReader::Kind::Length) {
    // More than was declared would be read as the next answer.
    bytes = bytes.substr(0, static_cast<size_t>(std::min<uint64_t>(bytes.size(), declared_left_)));
    declared_left_ -= bytes.size();
  }
  std::string& out = channel_->outbox();
  const size_t before = out.size();
  write_body(out, framing_, bytes);
  sent(out.size() - before);
}

void ServerConnection::end_answer() {
  if (is_closed_) return;
  if (!has_head_) write_head({.status = 500, .headers = {{"Content-Length", "0"}}});
  if (declared_left_ > 0) return close(false);  // the peer must not take this for the whole
  std::string& out = channel_->outbox();
  const size_t before = out.size();
  write_body_end(out, framing_);
  sent(out.size() - before);
  framing_ = {};
  if (!keeps_alive_ || shared_->is_stopping) return finish();
  enter(Phase::Idle);
  pump();
}

void ServerConnection::abandon_answer() {
  if (is_closed_) return;
  if (has_head_) return close(false);  // cut: what was sent is not the whole
  keeps_alive_ = false;
  end_answer();
}

std::unique_ptr<world::Connection> ServerConnection::switch_protocols(const ResponseHead& head) {
  if (is_closed_ || has_head_) return nullptr;
  has_head_ = true;
  write_response_head(channel_->outbox(), head, false, false, true);
  channel_->sent_directly();
  enter(Phase::Switched);
  if (is_paused_) channel_->resume_reading();
  is_paused_ = false;
  switched_ =
      std::make_shared<SwitchedStream>(channel_, reader_.take_rest(), [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->close(false);
      });
  return SwitchedStream::as_connection(switched_);
}

void ServerConnection::finish() {
  enter(Phase::Closing);
  if (is_paused_) channel_->resume_reading();
  is_paused_ = false;
  channel_->finish();
}

void ServerConnection::close_when_idle() {
  const bool is_busy = phase_ == Phase::Answering || phase_ == Phase::Switched;
  if (is_busy || phase_ == Phase::Closing) return;
  finish();
}

void ServerConnection::close(bool tell_handler) {
  if (is_closed_) return;
  is_closed_ = true;
  const auto self = shared_from_this();
  channel_->close();
  if (const auto sink = sink_.lock()) sink->detach(tell_handler);
  if (switched_ && tell_handler) switched_->on_end(base::unavailable("the server stops"));
  if (shared_->on_closed) shared_->on_closed(*this);
}

}  // namespace pelton::net
