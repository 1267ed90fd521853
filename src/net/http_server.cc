// SPDX-License-Identifier: Apache-2.0
#include "net/http_server.h"

#include <algorithm>
#include <map>
#include <vector>

#include "net/server_connection.h"

namespace pelton::net {

struct HttpServer::State {
  State(world::Network& net, world::Timers& time, TlsContextPtr context)
      : network(net), timers(time), tls(std::move(context)), sweeper(time), grace(time) {}

  world::Network& network;
  world::Timers& timers;
  TlsContextPtr tls;
  std::shared_ptr<ServerShared> shared = std::make_shared<ServerShared>();
  std::vector<std::unique_ptr<world::Listener>> listeners;
  std::map<uint64_t, std::shared_ptr<ServerConnection>> connections;
  uint64_t next_id = 1;
  world::Timer sweeper;
  world::Timer grace;
  std::function<void()> on_stopped;

  void accept(std::unique_ptr<world::Connection> connection) {
    if (connections.size() >= shared->options.max_connections) return;  // closed by its end here
    const uint64_t id = next_id++;
    const auto made = std::make_shared<ServerConnection>(shared, id);
    connections.emplace(id, made);
    made->start(timers, std::move(connection), tls ? TlsSession::accept(tls) : nullptr);
    if (!sweeper.is_pending()) schedule_sweep();
  }

  /// One timer for all connections, and none without any.
  void schedule_sweep() {
    sweeper.start(shared->tick, [this] {
      for (const auto& connection : snapshot()) connection->sweep();
      if (!connections.empty()) schedule_sweep();
    });
  }

  /// What is done to connections may close them.
  std::vector<std::shared_ptr<ServerConnection>> snapshot() const {
    std::vector<std::shared_ptr<ServerConnection>> out;
    for (const auto& [id, connection] : connections) out.push_back(connection);
    return out;
  }

  void on_closed(const ServerConnection& connection) {
    connections.erase(connection.id());
    if (connections.empty()) finish_stopping();
  }

  void finish_stopping() {
    if (!on_stopped) return;
    // Later: this may be within a callback of the last connection.
    grace.start(base::Duration(), std::exchange(on_stopped, nullptr));
  }
};

namespace {

/// Fine enough for the shortest timeout, coarse enough to cost nothing.
base::Duration choose_tick(const HttpServerOptions& options) {
  const base::Duration shortest = std::min(
      {options.head_timeout, options.body_timeout, options.idle_timeout, options.send_timeout});
  return std::clamp(shortest / 4, base::Duration::milliseconds(1), base::Duration::seconds(1));
}

}  // namespace

HttpServer::HttpServer(world::Network& network, world::Timers& timers, TlsContextPtr tls,
                       Handler handler, HttpServerOptions options)
    : state_(std::make_shared<State>(network, timers, std::move(tls))) {
  state_->shared->handler = std::move(handler);
  state_->shared->options = options;
  state_->shared->tick = choose_tick(options);
  state_->shared->on_closed = [state = state_.get()](ServerConnection& c) { state->on_closed(c); };
}

HttpServer::~HttpServer() {
  state_->shared->on_closed = nullptr;
  state_->listeners.clear();
  for (const auto& connection : state_->snapshot()) connection->close(false);
}

base::Result<world::Address> HttpServer::listen(const world::Address& address) {
  PELTON_ASSIGN(auto listener,
                state_->network.listen(address, [state = state_.get()](auto connection) {
                  state->accept(std::move(connection));
                }));
  const world::Address real = listener->address();
  state_->listeners.push_back(std::move(listener));
  return real;
}

void HttpServer::stop(base::Duration grace, std::function<void()> done) {
  state_->listeners.clear();
  state_->shared->is_stopping = true;
  state_->on_stopped = std::move(done);
  for (const auto& connection : state_->snapshot()) connection->close_when_idle();
  if (state_->connections.empty()) return state_->finish_stopping();
  state_->grace.start(grace, [state = state_.get()] {
    for (const auto& connection : state->snapshot()) connection->close(true);
  });
}

size_t HttpServer::connection_count() const {
  return state_->connections.size();
}

}  // namespace pelton::net
