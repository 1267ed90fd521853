// SPDX-License-Identifier: Apache-2.0
// `kubectl attach`: what a container writes from now on, as the remote command protocol has it.
//
// A container's stdin is /dev/null, and its two outputs are one in the log that this is read from:
// so all of it is stdout here.
#pragma once
#include <memory>
#include <optional>

#include "agent/remote_command.h"
#include "net/http.h"
#include "net/websocket.h"
#include "world/world.h"

namespace pelton::agent {

/// Takes a log as it is followed and sends it to an attached client.
class AttachSink final : public net::ResponseSink, public std::enable_shared_from_this<AttachSink> {
 public:
  AttachSink(world::World world, std::unique_ptr<world::Connection> connection)
      : socket_(world.timers, world.random, std::move(connection), net::WebSocket::Role::Server,
                {.on_message = [](std::string_view, bool) {},
                 .on_end = [this](const net::WebSocketEnd&) { leave(); }}) {
    socket_.send(remote_message(RemoteChannel::Stdout, {}));
  }
  void head(net::ResponseHead) override {}
  void write(std::string_view bytes) override {
    socket_.send(remote_message(RemoteChannel::Stdout, bytes));
  }
  /// Keeps itself until the client has taken the rest and closed.
  void end() override {
    gone_ = nullptr;
    if (is_gone_) return;
    self_ = shared_from_this();
    socket_.send(remote_message(RemoteChannel::Error, exit_status(0).dump()));
    socket_.close();
  }
  size_t backlog() const override { return socket_.queued_bytes(); }
  bool is_gone() const override { return is_gone_; }
  void on_gone(std::function<void()> gone) override { gone_ = std::move(gone); }

 private:
  void leave() {
    is_gone_ = true;
    const auto self = std::exchange(self_, nullptr);  // may be the last; goes at the end
    const auto gone = std::exchange(gone_, nullptr);
    if (gone) gone();
  }

  bool is_gone_ = false;
  std::function<void()> gone_;
  std::shared_ptr<AttachSink> self_;
  net::WebSocket socket_;
};

}  // namespace pelton::agent
