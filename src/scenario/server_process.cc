// SPDX-License-Identifier: Apache-2.0
#include "scenario/server_process.h"

#include "api/object.h"
#include "api/registry.h"
#include "base/strings.h"

namespace pelton::scenario {
namespace {

/// Passes an answer on and tells the checkers what it acknowledges.
class AcknowledgingSink final : public net::ResponseSink {
 public:
  AcknowledgingSink(net::ResponseSinkPtr next, Checkers& checkers)
      : next_(std::move(next)), checkers_(checkers) {}
  void head(net::ResponseHead head) override {
    is_success_ = head.status == 200 || head.status == 201;
    next_->head(std::move(head));
  }
  void write(std::string_view bytes) override {
    if (is_success_) body_ += bytes;
    next_->write(bytes);
  }
  void end() override {
    if (is_success_) acknowledge();
    next_->end();
  }
  size_t backlog() const override { return next_->backlog(); }
  bool is_gone() const override { return next_->is_gone(); }
  void on_gone(std::function<void()> gone) override { next_->on_gone(std::move(gone)); }

 private:
  void acknowledge() {
    auto object = base::Json::parse(body_);
    if (!object.ok()) return;
    const api::ResourceInfo* resource = api::Registry::builtin().find_kind(api::gvk_of(*object));
    auto revision = base::parse_int(api::resource_version_of(*object));
    if (!resource || !revision.ok() || resource->is_virtual) return;
    checkers_.on_acknowledged(
        resource->storage->store_key(api::namespace_of(*object), api::name_of(*object)),
        static_cast<uint64_t>(*revision));
  }

  net::ResponseSinkPtr next_;
  Checkers& checkers_;
  bool is_success_ = false;
  std::string body_;
};

}  // namespace

ServerProcess::ServerProcess(sim::SimProcess& process, std::vector<net::Identity> callers,
                             Checkers& checkers)
    : process_(process),
      callers_(std::move(callers)),
      checkers_(checkers),
      turn_end_(process.world().timers) {
  const world::World& world = process_.world();
  store::Store::open(world.files, world.timers, world.log, "/store", {},
                     [this](auto opened) { on_opened(std::move(opened)); });
}

ServerProcess::~ServerProcess() = default;

void ServerProcess::on_opened(base::Result<std::unique_ptr<store::Store>> opened) {
  if (!opened.ok()) return fail(opened.status());
  store_ = std::move(opened).value();
  auto all = store_->list("/");
  if (!all.ok()) return fail(all.status());
  checkers_.on_reopened(all->entries, all->revision);
  store::WatchEvents events;
  events.on_event = [this](const store::Event& event) {
    checkers_.on_event(event);
    // What one transaction changed is told within one turn.
    if (!turn_end_.is_pending()) {
      turn_end_.start(base::Duration(), [this] { checkers_.on_turn_end(); });
    }
  };
  auto watch = store_->watch("/", all->revision, std::move(events));
  if (!watch.ok()) return fail(watch.status());
  watch_ = std::move(watch).value();
  const world::World& world = process_.world();
  api_ = std::make_unique<apiserver::ApiServer>(world.clock, world.timers, world.random, world.log,
                                                *store_, api::Registry::builtin());
  api_->start([this](base::Status status) {
    if (!status.ok()) return fail(std::move(status));
    serve();
  });
}

void ServerProcess::serve() {
  const world::World& world = process_.world();
  for (size_t i = 0; i < callers_.size(); ++i) {
    fronts_.push_back(std::make_unique<net::HttpServer>(world.network, world.timers, nullptr,
                                                        handler_for(callers_[i])));
    auto address = fronts_.back()->listen({kHost, static_cast<uint16_t>(kFirstPort + i)});
    if (!address.ok()) return fail(address.status());
  }
  is_serving_ = true;
}

void ServerProcess::fail(base::Status status) {
  status_ = std::move(status);
}

net::Handler ServerProcess::handler_for(const net::Identity& identity) {
  return [this, identity, next = api_->handler()](net::Request request, net::ResponseSinkPtr sink) {
    request.identity = identity;
    if (request.method == "DELETE") {
      // "/api/v1/namespaces/NS/PLURAL/NAME" or below /apis: the store's key by plural and name.
      for (const api::ResourceInfo& resource : api::Registry::builtin().resources()) {
        const auto parts = base::split(request.path(), '/');
        const size_t n = parts.size();
        if (n < 2 || parts[n - 2] != resource.plural) continue;
        const bool is_namespaced = n >= 4 && parts[n - 4] == "namespaces";
        checkers_.on_delete_asked(resource.storage->store_key(
            is_namespaced ? parts[n - 3] : std::string_view(), parts[n - 1]));
      }
    }
    if (request.method != "GET") sink = std::make_shared<AcknowledgingSink>(sink, checkers_);
    next(std::move(request), std::move(sink));
  };
}

}  // namespace pelton::scenario
