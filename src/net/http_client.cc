// SPDX-License-Identifier: Apache-2.0
#include "net/http_client.h"

#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "net/client_connection.h"
#include "net/url.h"

namespace pelton::net {
namespace {

using ConnectionPtr = std::shared_ptr<ClientConnection>;

/// All that goes to one endpoint.
struct Pool {
  size_t count = 0;                 ///< connections, those being made included
  std::vector<ConnectionPtr> idle;  ///< the one used last is at the end, and is taken first
  std::deque<CallPtr> waiting;
};

std::string host_header(const Endpoint& endpoint) {
  Url url;
  url.scheme = endpoint.tls ? "https" : "http";
  const bool is_path = endpoint.address.host.starts_with('/');
  url.host = !endpoint.server_name.empty() ? endpoint.server_name
             : is_path                     ? "localhost"
                                           : endpoint.address.host;
  url.port = is_path ? (endpoint.tls ? 443 : 80) : endpoint.address.port;
  return url.authority();
}

}  // namespace

struct HttpClient::State : std::enable_shared_from_this<HttpClient::State> {
  State(world::Network& net, world::Timers& time, HttpClientOptions o)
      : network(net), timers(time), options(o) {}

  world::Network& network;
  world::Timers& timers;
  HttpClientOptions options;
  std::map<Endpoint, Pool> pools;
  std::map<uint64_t, ConnectionPtr> connections;  ///< established or shaking hands, by id
  uint64_t next_id = 1;
  bool is_closed = false;

  void dispatch(const CallPtr& call);
  void connect(const CallPtr& call);
  void on_connected(const Endpoint& endpoint, const CallPtr& call,
                    base::Result<std::unique_ptr<world::Connection>> result);
  void on_free(const ConnectionPtr& connection);
  void on_closed(const ConnectionPtr& connection, const CallPtr& call, const base::Status& status);
  void lose_place(const Endpoint& endpoint);
  void abandon(const CallPtr& call);
  void close();
};

namespace {

/// The caller's hold on a call.
class Held final : public Exchange {
 public:
  Held(CallPtr call, std::function<void(const CallPtr&)> abandon)
      : call_(std::move(call)), abandon_(std::move(abandon)) {}
  ~Held() override { abandon_(call_); }

 private:
  CallPtr call_;
  std::function<void(const CallPtr&)> abandon_;
};

}  // namespace

void HttpClient::State::dispatch(const CallPtr& call) {
  Pool& pool = pools[call->endpoint];
  if (!pool.idle.empty()) {
    const ConnectionPtr connection = std::move(pool.idle.back());
    pool.idle.pop_back();
    connection->carry(call);
  } else if (pool.count < options.max_connections_per_endpoint) {
    connect(call);
  } else {
    pool.waiting.push_back(call);
  }
}

void HttpClient::State::connect(const CallPtr& call) {
  ++pools[call->endpoint].count;
  network.connect(call->endpoint.address, options.connect_timeout,
                  [weak = weak_from_this(), endpoint = call->endpoint, call](auto result) {
                    const auto self = weak.lock();
                    if (self && !self->is_closed) {
                      self->on_connected(endpoint, call, std::move(result));
                    }
                  });
}

void HttpClient::State::on_connected(const Endpoint& endpoint, const CallPtr& call,
                                     base::Result<std::unique_ptr<world::Connection>> result) {
  if (!result.ok()) {
    lose_place(endpoint);
    call->end(call->failure(result.status()));
    return;
  }
  const std::weak_ptr<State> weak = weak_from_this();
  const auto connection = std::make_shared<ClientConnection>(
      timers, next_id++, endpoint, options.limits,
      ClientConnection::Events{
          .on_free =
              [weak](const ConnectionPtr& c) {
                if (const auto self = weak.lock()) self->on_free(c);
              },
          .on_closed =
              [weak](const ConnectionPtr& c, const CallPtr& failed, const base::Status& status) {
                if (const auto self = weak.lock()) self->on_closed(c, failed, status);
              }});
  connections.emplace(connection->id(), connection);
  connection->start(std::move(result).value(), options.connect_timeout);
  if (call->is_over) {
    on_free(connection);  // abandoned meanwhile: somebody else may have it
  } else {
    connection->carry(call);
  }
}

void HttpClient::State::on_free(const ConnectionPtr& connection) {
  Pool& pool = pools[connection->endpoint()];
  while (!pool.waiting.empty()) {
    const CallPtr next = std::move(pool.waiting.front());
    pool.waiting.pop_front();
    if (next->is_over) continue;
    return connection->carry(next);
  }
  pool.idle.push_back(connection);
  connection->rest(options.idle_timeout);
  if (pool.idle.size() <= options.max_idle_per_endpoint) return;
  const ConnectionPtr oldest = std::move(pool.idle.front());
  pool.idle.erase(pool.idle.begin());
  oldest->close();
  on_closed(oldest, nullptr, base::ok());
}

void HttpClient::State::on_closed(const ConnectionPtr& connection, const CallPtr& call,
                                  const base::Status& status) {
  const ConnectionPtr kept = connection;
  connections.erase(kept->id());
  std::erase(pools[kept->endpoint()].idle, kept);
  lose_place(kept->endpoint());
  if (!call) return;
  // The server closed a kept connection while our request was under way to it.
  const bool may_retry = kept->was_used() && !kept->has_answer_begun() && call->is_safe() &&
                         !call->was_retried && status.code() == base::Code::Unavailable;
  if (may_retry) {
    call->was_retried = true;
    call->was_sent = false;
    connect(call);  // a new connection: another kept one may be as stale
  } else {
    call->end(call->failure(status));
  }
}

void HttpClient::State::lose_place(const Endpoint& endpoint) {
  const auto found = pools.find(endpoint);
  Pool& pool = found->second;
  --pool.count;
  while (!pool.waiting.empty() && pool.count < options.max_connections_per_endpoint) {
    const CallPtr next = std::move(pool.waiting.front());
    pool.waiting.pop_front();
    if (!next->is_over) return connect(next);
  }
  if (pool.count == 0 && pool.waiting.empty()) pools.erase(found);
}

void HttpClient::State::abandon(const CallPtr& call) {
  if (call->is_over) return;
  call->is_over = true;
  call->head_timer.cancel();
  // Its callbacks stay until the call goes: one of them may be what is running.
  if (const ConnectionPtr connection = call->connection.lock()) {
    if (!connections.contains(connection->id())) return;
    connection->close();
    on_closed(connection, nullptr, base::ok());
  }
}

void HttpClient::State::close() {
  is_closed = true;
  for (const auto& [id, connection] : connections) connection->close();
  connections.clear();
  for (auto& [endpoint, pool] : pools) {
    for (const auto& call : pool.waiting) call->is_over = true;
  }
  pools.clear();
}

HttpClient::HttpClient(world::Network& network, world::Timers& timers, HttpClientOptions options)
    : state_(std::make_shared<State>(network, timers, options)) {}

HttpClient::~HttpClient() {
  state_->close();
}

std::unique_ptr<Exchange> HttpClient::send(const Endpoint& endpoint, Request request,
                                           ResponseEvents events) {
  const auto call = std::make_shared<Call>(state_->timers, endpoint, std::move(events));
  call->method = request.method;
  const std::weak_ptr<State> weak = state_;
  const base::Status status = write_request(call->bytes, request, host_header(endpoint));
  // A call that is not carried is held by its timer's callback alone.
  const auto delay = status.ok() ? state_->options.head_timeout : base::Duration();
  call->head_timer.start(delay, [weak, call = std::weak_ptr<Call>(call), status] {
    const auto self = weak.lock();
    const auto late = call.lock();
    if (!self || !late || late->is_over) return;
    auto on_end = std::move(late->events.on_end);
    const base::Status why =
        late->failure(status.ok() ? base::unavailable("no answer in time") : status);
    self->abandon(late);
    if (on_end) on_end(why);
  });
  if (status.ok()) state_->dispatch(call);
  return std::make_unique<Held>(call, [weak](const CallPtr& held) {
    if (const auto self = weak.lock()) {
      self->abandon(held);
    } else {
      held->is_over = true;
    }
  });
}

size_t HttpClient::connection_count() const {
  return state_->connections.size();
}

}  // namespace pelton::net
