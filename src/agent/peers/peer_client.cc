// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/peer_client.h"

#include <fmt/format.h>

#include <utility>

#include "base/strings.h"

namespace pelton::agent {
namespace {

using base::Json;

/// Callers have shorter ones, by what they ask.
constexpr base::Duration kHead = base::Duration::hours(24);
constexpr base::Duration kStall = base::Duration::seconds(30);
constexpr size_t kMaxError = 4096;

base::Status error_of(const std::string& node, int status, const std::string& body) {
  const std::string text = fmt::format("node {}: {}", node, base::trim(body));
  if (status == 404) return base::not_found(text);
  if (status == 507) return {base::Code::ResourceExhausted, text};
  return base::unavailable(fmt::format("{} ({})", text, status));
}

base::Result<world::Address> address_in(const Json& node) {
  const auto port = node.at("status.daemonEndpoints.kubeletEndpoint.Port").as_int();
  for (const Json& each : node.at("status.addresses").items()) {
    if (each["type"].as_string() != "InternalIP" || port < 1 || port > 65535) continue;
    return world::Address{each["address"].as_string(), static_cast<uint16_t>(port)};
  }
  return base::unavailable("it has not said yet where it listens");
}

}  // namespace

/// A request with a whole answer.
struct PeerClient::Exchange : std::enable_shared_from_this<Exchange> {
  explicit Exchange(world::Timers& timers) : timeout(timers) {}
  std::string node;
  Answer done;
  int status = 0;
  std::string body;
  std::unique_ptr<net::Exchange> http;
  world::Timer timeout;

  void finish(base::Result<std::string> answer) {
    const auto self = shared_from_this();
    timeout.cancel();
    if (const Answer tell = std::exchange(done, nullptr)) tell(std::move(answer));
  }
};

struct PeerClient::Pull : std::enable_shared_from_this<Pull> {
  Pull(world::Timers& timers, std::unique_ptr<IncomingPart> incoming)
      : part(std::move(incoming)), stalled(timers) {}
  std::string node;
  std::unique_ptr<IncomingPart> part;
  std::function<void(base::Status)> done;
  int status = 0;
  std::string body;
  std::unique_ptr<net::Exchange> http;
  std::unique_ptr<world::Connection> connection;
  world::Timer stalled;

  void watch() {
    stalled.start(
        kStall, [this] { finish(base::unavailable("node " + node + ": nothing came for 30 s")); });
  }
  void finish(base::Status status) {
    const auto self = shared_from_this();
    stalled.cancel();
    connection.reset();
    if (status.ok()) status = part->publish();
    part.reset();
    if (const auto tell = std::exchange(done, nullptr)) tell(std::move(status));
  }
  void on_data(std::string_view bytes) {
    watch();
    const base::Status fed = part->feed(bytes);
    if (!fed.ok() || part->is_complete()) return finish(fed);
    if (part->is_busy()) connection->pause_reading();
  }
  void on_written(const base::Status& status) {
    if (!status.ok() || part->is_complete()) return finish(status);
    watch();
    if (!part->is_busy() && connection) connection->resume_reading();
  }
  void on_end(const base::Status& how) {
    if (how.ok() && part->is_fed()) return;  // it is finished when it is written
    finish(how.ok() ? base::unavailable("node " + node + ": the stream ended early") : how);
  }
  void begin(std::unique_ptr<world::Connection> stream) {
    connection = std::move(stream);
    watch();
    part->tell([this](const base::Status& status) { on_written(status); });
    connection->start({.on_data = [this](std::string_view bytes) { on_data(bytes); },
                       .on_end = [this](const base::Status& how) { on_end(how); },
                       .on_drained = [] {}});
  }
};

PeerClient::PeerClient(world::World world, client::Client& client, net::TlsContextPtr tls)
    : world_(world),
      client_(client),
      tls_(std::move(tls)),
      http_(world.network, world.timers, {.head_timeout = kHead}) {}
PeerClient::~PeerClient() = default;

void PeerClient::know(const std::string& node, const world::Address& address) {
  addresses_[node] = address;
}

void PeerClient::find(const std::string& node,
                      std::function<void(base::Result<world::Address>)> done) {
  if (const auto known = addresses_.find(node); known != addresses_.end()) {
    return done(known->second);
  }
  client_.get({"Node", "", node}, [this, node, done = std::move(done),
                                   alive = std::weak_ptr(alive_)](base::Result<Json> object) {
    if (alive.expired()) return;
    base::Result<world::Address> address =
        object.ok() ? address_in(*object) : base::Result<world::Address>(object.status());
    if (!address.ok()) return done(std::move(address).status().with("node " + node));
    addresses_[node] = *address;
    done(*address);
  });
}

PeerClient::Call PeerClient::send(const std::string& node, net::Request request,
                                  base::Duration timeout, Answer done) {
  auto call = std::make_shared<Exchange>(world_.timers);
  call->node = node;
  call->done = std::move(done);
  call->timeout.start(timeout, [it = call.get()] {
    it->http.reset();
    it->finish(base::unavailable("node " + it->node + " does not answer"));
  });
  find(node, [this, weak = std::weak_ptr(call),
              request = std::move(request)](base::Result<world::Address> address) {
    const auto self = weak.lock();
    if (!self) return;
    if (!address.ok()) return self->finish(std::move(address).status());
    self->http = http_.send({*address, tls_, self->node}, request,
                            {.on_head =
                                 [weak](const net::ResponseHead& head) {
                                   if (const auto it = weak.lock()) it->status = head.status;
                                 },
                             .on_data =
                                 [weak](std::string_view bytes) {
                                   const auto it = weak.lock();
                                   if (it && (it->status == 200 || it->body.size() < kMaxError))
                                     it->body += bytes;
                                 },
                             .on_end =
                                 [this, weak](base::Status end) {
                                   const auto it = weak.lock();
                                   if (!it) return;
                                   if (!end.ok())
                                     addresses_.erase(it->node);  // it may listen elsewhere by now
                                   if (!end.ok())
                                     return it->finish(std::move(end).with("node " + it->node));
                                   if (it->status != 200)
                                     return it->finish(error_of(it->node, it->status, it->body));
                                   it->finish(std::move(it->body));
                                 }});
  });
  return call;
}

PeerClient::Call PeerClient::pull(const std::string& node, const std::string& target,
                                  std::unique_ptr<IncomingPart> part,
                                  std::function<void(base::Status)> done) {
  auto call = std::make_shared<Pull>(world_.timers, std::move(part));
  call->node = node;
  call->done = std::move(done);
  find(node, [this, target, weak = std::weak_ptr(call)](base::Result<world::Address> address) {
    const auto self = weak.lock();
    if (!self) return;
    if (!address.ok()) return self->finish(std::move(address).status());
    self->watch();
    net::Request request{.method = "GET",
                         .target = target,
                         .headers = {{"Connection", "Upgrade"}, {"Upgrade", "pelton-part"}},
                         .body = "",
                         .identity = {}};
    self->http = http_.send(
        {*address, tls_, self->node}, std::move(request),
        {.on_head =
             [weak](const net::ResponseHead& head) {
               if (const auto it = weak.lock()) it->status = head.status;
             },
         .on_data =
             [weak](std::string_view bytes) {
               const auto it = weak.lock();
               if (it && it->body.size() < kMaxError) it->body += bytes;
             },
         .on_end =
             [this, weak](base::Status end) {
               const auto it = weak.lock();
               if (!it) return;
               if (!end.ok()) addresses_.erase(it->node);
               it->finish(end.ok() ? error_of(it->node, it->status, it->body)
                                   : std::move(end).with("node " + it->node));
             },
         .on_switch =
             [weak](const net::ResponseHead&, std::unique_ptr<world::Connection> connection) {
               if (const auto it = weak.lock()) it->begin(std::move(connection));
             }});
  });
  return call;
}

}  // namespace pelton::agent
