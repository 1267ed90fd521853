// SPDX-License-Identifier: Apache-2.0
#include "client/in_process.h"

#include <utility>

namespace pelton::client {
namespace {

/// One exchange, shared by its two ends. The client's end goes away with the Exchange, the
/// server's with its sink; each sees that the other is gone.
struct Pipe : std::enable_shared_from_this<Pipe> {
  explicit Pipe(world::Timers& t) : timers(t) {}

  world::Timers& timers;
  net::ResponseEvents events;
  bool is_abandoned = false;  ///< by the client
  bool is_ended = false;      ///< by the server
  size_t backlog = 0;
  std::function<void()> on_gone;

  /// Runs `fn` on the loop, unless the client has left by then.
  void deliver(std::function<void(Pipe&)> fn) {
    timers.post([self = shared_from_this(), fn = std::move(fn)] {
      if (!self->is_abandoned) fn(*self);
    });
  }

  void abandon() {
    if (std::exchange(is_abandoned, true) || is_ended) return;
    timers.post([self = shared_from_this()] {
      if (self->on_gone) std::exchange(self->on_gone, nullptr)();
    });
  }
};

class Sink final : public net::ResponseSink {
 public:
  explicit Sink(std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)) {}
  ~Sink() override {
    // A handler that forgets its answer must not leave the client waiting.
    if (!pipe_->is_ended) end_with(base::unavailable("the server dropped the request"));
  }
  void head(net::ResponseHead head) override {
    if (is_gone()) return;
    pipe_->deliver([head = std::move(head)](Pipe& pipe) {
      if (pipe.events.on_head) pipe.events.on_head(head);
    });
  }
  void write(std::string_view bytes) override {
    if (is_gone() || bytes.empty()) return;
    pipe_->backlog += bytes.size();
    pipe_->deliver([bytes = std::string(bytes)](Pipe& pipe) {
      pipe.backlog -= bytes.size();
      if (pipe.events.on_data) pipe.events.on_data(bytes);
    });
  }
  void end() override { end_with(base::ok()); }
  size_t backlog() const override { return is_gone() ? 0 : pipe_->backlog; }
  bool is_gone() const override { return pipe_->is_abandoned || pipe_->is_ended; }
  void on_gone(std::function<void()> gone) override { pipe_->on_gone = std::move(gone); }

 private:
  void end_with(base::Status status) {
    if (std::exchange(pipe_->is_ended, true)) return;
    pipe_->on_gone = nullptr;
    pipe_->deliver([status = std::move(status)](Pipe& pipe) {
      if (pipe.events.on_end) pipe.events.on_end(status);
    });
  }
  std::shared_ptr<Pipe> pipe_;
};

class PipeExchange final : public net::Exchange {
 public:
  explicit PipeExchange(std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)) {}
  ~PipeExchange() override { pipe_->abandon(); }

 private:
  std::shared_ptr<Pipe> pipe_;
};

}  // namespace

InProcessTransport::InProcessTransport(net::Handler handler, net::Identity identity,
                                       world::Timers& timers)
    : handler_(std::move(handler)), identity_(std::move(identity)), timers_(timers) {}

std::unique_ptr<net::Exchange> InProcessTransport::send(net::Request request,
                                                        net::ResponseEvents events) {
  auto pipe = std::make_shared<Pipe>(timers_);
  pipe->events = std::move(events);
  request.identity = identity_;
  timers_.post([pipe, handler = handler_, request = std::move(request)]() mutable {
    // An abandoned request still reaches the server: on a wire it might have, too.
    handler(std::move(request), std::make_shared<Sink>(pipe));
  });
  return std::make_unique<PipeExchange>(std::move(pipe));
}

}  // namespace pelton::client
