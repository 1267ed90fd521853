// SPDX-License-Identifier: Apache-2.0
#include "net/switched.h"

#include <utility>

namespace pelton::net {

class SwitchedStream::Holder final : public world::Connection {
 public:
  explicit Holder(std::shared_ptr<SwitchedStream> stream) : stream_(std::move(stream)) {}
  ~Holder() override { stream_->release(); }
  void start(world::ConnectionEvents events) override { stream_->start(std::move(events)); }
  void send(std::string_view bytes) override { stream_->channel_->send(bytes); }
  size_t queued_bytes() const override { return stream_->channel_->queued_bytes(); }
  void finish() override { stream_->channel_->finish(); }
  void pause_reading() override { stream_->pause(true); }
  void resume_reading() override { stream_->pause(false); }
  world::Address peer() const override { return stream_->channel_->peer_address(); }

 private:
  std::shared_ptr<SwitchedStream> stream_;
};

std::unique_ptr<world::Connection> SwitchedStream::as_connection(
    std::shared_ptr<SwitchedStream> stream) {
  return std::make_unique<Holder>(std::move(stream));
}

void SwitchedStream::start(world::ConnectionEvents events) {
  events_ = std::make_shared<world::ConnectionEvents>(std::move(events));
  deliver_early_soon();
}

void SwitchedStream::pause(bool is_paused) {
  is_paused_ = is_paused;
  if (is_paused) return channel_->pause_reading();
  channel_->resume_reading();
  deliver_early_soon();
}

/// Never from within a call of the holder.
void SwitchedStream::deliver_early_soon() {
  if (early_.empty() && !end_) return;
  channel_->timers().post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->deliver_early();
  });
}

void SwitchedStream::deliver_early() {
  const auto events = events_;
  if (!events || is_paused_) return;
  if (!early_.empty() && events->on_data) events->on_data(std::exchange(early_, {}));
  if (events_ == nullptr || !early_.empty() || !end_) return;
  const base::Status end = *std::exchange(end_, std::nullopt);
  if (events->on_end) events->on_end(end);
}

void SwitchedStream::on_data(std::string_view bytes) {
  const auto events = events_;  // who is told may let go
  if (!events || !early_.empty()) {
    early_.append(bytes);
    return;
  }
  if (events->on_data) events->on_data(bytes);
}

void SwitchedStream::on_end(base::Status status) {
  const auto events = events_;
  if (!events || !early_.empty()) {
    end_ = std::move(status);
    return;
  }
  if (events->on_end) events->on_end(std::move(status));
}

void SwitchedStream::on_drained() {
  const auto events = events_;
  if (events && events->on_drained) events->on_drained();
}

void SwitchedStream::release() {
  events_ = nullptr;
  channel_->close();
  if (const auto let_go = std::exchange(let_go_, nullptr)) let_go();
}

}  // namespace pelton::net
