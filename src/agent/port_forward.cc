// SPDX-License-Identifier: Apache-2.0
#include "agent/port_forward.h"

#include <algorithm>
#include <utility>

#include "agent/handler.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

/// Bytes that may wait in either direction before whoever makes them is held back.
constexpr size_t kMaxQueue = 512 * 1024;
constexpr size_t kMaxStreams = 2000;
constexpr base::Duration kConnectTimeout = base::Duration::seconds(10);
/// A client that has gone while it was held back shows by a ping that cannot be sent.
constexpr base::Duration kPingInterval = base::Duration::seconds(10);

}  // namespace

struct PortForwardSession::Forward {
  std::string request;  ///< the client's number for it
  uint32_t error_stream = 0, data_stream = 0;
  uint16_t port = 0;
  std::unique_ptr<world::Connection> connection;  ///< null before it is made
  std::string early;                              ///< what came before that
  bool has_client_ended = false;
  bool is_pod_held = false;  ///< the pod's side is not read

  size_t queued() const { return connection ? connection->queued_bytes() : early.size(); }
};

PortForwardSession::PortForwardSession(world::World world, Target target,
                                       std::function<void()> ended)
    : world_(world), target_(std::move(target)), ended_(std::move(ended)) {}

PortForwardSession::~PortForwardSession() = default;

void PortForwardSession::start(std::unique_ptr<world::Connection> connection) {
  socket_ = std::make_unique<net::WebSocket>(
      world_.timers, world_.random, std::move(connection), net::WebSocket::Role::Server,
      net::WebSocketEvents{
          .on_message = [this](std::string_view message, bool) { on_message(message); },
          .on_end = [this](const net::WebSocketEnd&) { end(); },
          .on_drained = [this] { on_taken(); }},
      net::WebSocketOptions{.ping_interval = kPingInterval});
}

void PortForwardSession::on_message(std::string_view message) {
  codec_.feed(message);
  net::SpdyFrame frame;
  while (codec_.next(frame)) on_frame(frame);
  flush();
  balance();
  if (!codec_.error().empty()) {
    socket_->close(net::WebSocketClose::ProtocolError, codec_.error());
  }
}

void PortForwardSession::on_frame(const net::SpdyFrame& frame) {
  using Kind = net::SpdyFrame::Kind;
  if (frame.kind == Kind::Open) return on_open(frame);
  const auto found = streams_.find(frame.stream);
  if (found == streams_.end()) return;  // over already
  const ForwardPtr forward = found->second;
  // The error stream is ours alone: its end says nothing.
  if (frame.stream != forward->data_stream) return;
  if (frame.kind == Kind::Data) on_client_data(forward, frame);
  if (frame.kind == Kind::Reset) finish(forward, "");
}

void PortForwardSession::on_open(const net::SpdyFrame& frame) {
  const bool is_new = frame.stream % 2 == 1 && frame.stream > newest_stream_;
  newest_stream_ = std::max(newest_stream_, frame.stream);
  if (!is_new || !take_stream(frame)) {
    return codec_.reset(frame.stream, net::SpdyReset::ProtocolError);
  }
  codec_.reply(frame.stream, {});
  const ForwardPtr forward = streams_[frame.stream];
  if (forward->data_stream == 0 || forward->error_stream == 0) return;
  incomplete_.erase(forward->request);
  connect(forward);
}

/// False where its headers say nothing sensible.
bool PortForwardSession::take_stream(const net::SpdyFrame& frame) {
  const std::string type(frame.headers.get("streamtype"));
  const std::string request(frame.headers.get("requestid"));
  const auto port = base::parse_int(frame.headers.get("port"));
  if (request.empty() || !port.ok() || *port < 1 || *port > UINT16_MAX) return false;
  if (type != "error" && type != "data") return false;
  if (streams_.size() >= kMaxStreams) return false;
  const auto known = incomplete_.find(request);
  const ForwardPtr forward =
      known == incomplete_.end() ? std::make_shared<Forward>() : known->second;
  uint32_t& stream = type == "data" ? forward->data_stream : forward->error_stream;
  if (stream != 0 || (forward->port != 0 && forward->port != *port)) return false;
  stream = frame.stream;
  forward->request = request;
  forward->port = static_cast<uint16_t>(*port);
  incomplete_[request] = forward;
  streams_[frame.stream] = forward;
  return true;
}

void PortForwardSession::on_client_data(const ForwardPtr& forward, const net::SpdyFrame& frame) {
  if (forward->has_client_ended) return;
  if (forward->connection) {
    forward->connection->send(frame.bytes);
  } else {
    forward->early += frame.bytes;
  }
  if (!frame.is_last) return;
  forward->has_client_ended = true;
  if (forward->connection) forward->connection->finish();
}

void PortForwardSession::connect(const ForwardPtr& forward) {
  const world::Address address{"127.0.0.1", forward->port, target_.network_namespace};
  world_.network.connect(
      address, kConnectTimeout,
      [this, address, forward,
       alive = std::weak_ptr(alive_)](base::Result<std::unique_ptr<world::Connection>> made) {
        if (alive.expired() || !streams_.contains(forward->data_stream)) return;
        if (made.ok()) return on_connected(forward, std::move(made).value());
        finish(forward, "error forwarding port " + std::to_string(forward->port) + " to pod " +
                            target_.pod + ", uid " + target_.uid + ": " +
                            dial_text(address, made.status()));
        flush();
        balance();
      });
}

void PortForwardSession::on_connected(const ForwardPtr& forward,
                                      std::unique_ptr<world::Connection> connection) {
  forward->connection = std::move(connection);
  const std::weak_ptr<Forward> weak = forward;
  forward->connection->start({.on_data =
                                  [this, weak](std::string_view bytes) {
                                    if (const auto self = weak.lock()) on_pod_data(self, bytes);
                                  },
                              .on_end =
                                  [this, weak](const base::Status&) {
                                    const auto self = weak.lock();
                                    if (!self) return;
                                    finish(self, "");
                                    flush();
                                    balance();
                                  },
                              .on_drained = [this] { balance(); }});
  if (!forward->early.empty()) forward->connection->send(std::exchange(forward->early, {}));
  if (forward->has_client_ended) forward->connection->finish();
  balance();
}

void PortForwardSession::on_pod_data(const ForwardPtr& forward, std::string_view bytes) {
  codec_.data(forward->data_stream, bytes, false);
  flush();
  if (socket_->queued_bytes() <= kMaxQueue) return;
  forward->is_pod_held = true;
  forward->connection->pause_reading();
}

/// The client has taken everything.
void PortForwardSession::on_taken() {
  for (const auto& [stream, forward] : streams_) {
    if (forward->connection && std::exchange(forward->is_pod_held, false)) {
      forward->connection->resume_reading();
    }
  }
}

/// The client is read while no connection is behind.
void PortForwardSession::balance() {
  const bool is_behind = std::any_of(streams_.begin(), streams_.end(), [](const auto& entry) {
    return entry.second->queued() > kMaxQueue;
  });
  if (is_behind == is_holding_) return;
  is_holding_ = is_behind;
  is_behind ? socket_->pause_reading() : socket_->resume_reading();
}

/// Tells the client that the connection is over, and why where it failed.
void PortForwardSession::finish(const ForwardPtr& forward, std::string_view failure) {
  if (incomplete_.erase(forward->request) == 0) {
    codec_.data(forward->data_stream, {}, true);
    codec_.data(forward->error_stream, failure, true);
  }
  streams_.erase(forward->data_stream);
  streams_.erase(forward->error_stream);
}

void PortForwardSession::flush() {
  const std::string output = codec_.take_output();
  if (!output.empty()) socket_->send(output);
}

void PortForwardSession::end() {
  streams_.clear();
  incomplete_.clear();
  world_.timers.post(std::exchange(ended_, nullptr));
}

}  // namespace pelton::agent
