// SPDX-License-Identifier: Apache-2.0
#include "scenario/server_process.h"

#include "api/object.h"
#include "api/registry.h"
#include "base/strings.h"

namespace pelton::scenario {
namespace {

/// The version of the object that a write names; 0: none.
uint64_t expected_version(const net::Request& request) {
  if (request.method != "PUT" && request.method != "PATCH") return 0;
  auto body = base::Json::parse(request.body);
  if (!body.ok()) return 0;
  auto version = base::parse_int(api::resource_version_of(*body));
  return version.ok() ? static_cast<uint64_t>(*version) : 0;
}

/// Passes an answer on and tells the checkers what it acknowledges. What a dead process still says
/// reaches nobody.
class AcknowledgingSink final : public net::ResponseSink {
 public:
  AcknowledgingSink(net::ResponseSinkPtr next, Checkers& checkers, const net::Request& request,
                    const sim::SimProcess& process, const ServerProcess::OnAnswered& on_answered)
      : next_(std::move(next)),
        checkers_(checkers),
        process_(process),
        on_answered_(on_answered),
        expected_(expected_version(request)),
        is_gang_(request.path().ends_with("/gangbindings")) {}
  void head(net::ResponseHead head) override {
    is_success_ = head.status == 200 || head.status == 201;
    next_->head(std::move(head));
  }
  void write(std::string_view bytes) override {
    if (is_success_) body_ += bytes;
    next_->write(bytes);
  }
  void end() override {
    if (!is_success_ || !process_.is_alive()) return next_->end();
    acknowledge();
    next_->end();
    on_answered_(is_gang_);
  }
  size_t backlog() const override { return next_->backlog(); }
  bool is_gone() const override { return next_->is_gone(); }
  void on_gone(std::function<void()> gone) override { next_->on_gone(std::move(gone)); }

 private:
  void acknowledge() {
    auto object = base::Json::parse(body_);
    if (!object.ok()) return;
    if ((*object)["kind"].as_string() == "GangBinding") return acknowledge_gang(*object);
    const api::ResourceInfo* resource = api::Registry::builtin().find_kind(api::gvk_of(*object));
    auto revision = base::parse_int(api::resource_version_of(*object));
    if (!resource || !revision.ok() || resource->is_virtual) return;
    checkers_.on_acknowledged(
        resource->storage->store_key(api::namespace_of(*object), api::name_of(*object)),
        static_cast<uint64_t>(*revision), expected_);
  }
  void acknowledge_gang(const base::Json& gang) {
    for (const base::Json& binding : gang.at("spec.bindings").items()) {
      checkers_.on_bound_acknowledged(
          "/core/pods/" + api::namespace_of(gang) + "/" + binding["podName"].as_string(),
          binding["podUID"].as_string());
    }
  }

  net::ResponseSinkPtr next_;
  Checkers& checkers_;
  const sim::SimProcess& process_;
  const ServerProcess::OnAnswered& on_answered_;
  const uint64_t expected_;
  const bool is_gang_;
  bool is_success_ = false;
  std::string body_;
};

/// Takes the answer to a request that nobody waits for.
class NullSink final : public net::ResponseSink {
 public:
  void head(net::ResponseHead) override {}
  void write(std::string_view) override {}
  void end() override {}
  size_t backlog() const override { return 0; }
  bool is_gone() const override { return false; }
  void on_gone(std::function<void()>) override {}
};

/// Small, so that a run has many snapshots.
constexpr size_t kSnapshotAfterBytes = size_t{256} << 10;
/// Small, so that a watcher that takes nothing is soon cut.
constexpr size_t kWatchBacklogBytes = size_t{32} << 10;
constexpr size_t kWatchLagEvents = 200;
/// Of bookmarks, drawn for each process: at times so short that they come while watchers are
/// behind, at times so long that a watch that is cut resumes from a place that is gone.
constexpr int64_t kBookmarkSecondsMin = 1, kBookmarkSecondsMax = 30;

}  // namespace

ServerProcess::ServerProcess(const Spec& spec, sim::SimProcess& process,
                             std::vector<Caller> callers, Checkers& checkers,
                             OnAnswered on_answered)
    : process_(process),
      spec_(spec),
      callers_(std::move(callers)),
      checkers_(checkers),
      on_answered_(std::move(on_answered)),
      rng_(process.machine().sim().rng("server")),
      turn_end_(process.world().timers) {
  const world::World& world = process_.world();
  store::Options options;
  options.history_events = static_cast<size_t>(spec_.history);
  options.history_age = {};
  options.snapshot_after_log_bytes = kSnapshotAfterBytes;
  options.watch_backlog_bytes = kWatchBacklogBytes;
  options.watch_lag_events = kWatchLagEvents;
  store::Store::open(world.files, world.timers, world.log, "/store", options,
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
  // From the last event that a server before showed: what it did not come to show is shown now.
  const store::Revision seen = checkers_.revision();
  auto watch = store_->watch("/", seen == 0 ? all->revision : seen, std::move(events));
  if (!watch.ok()) return fail(watch.status());
  watch_ = std::move(watch).value();
  turn_end_.start(base::Duration(), [this] { checkers_.on_turn_end(); });
  const world::World& world = process_.world();
  apiserver::ApiServerOptions api_options;
  api_options.bookmark_interval =
      base::Duration::seconds(rng_.between(kBookmarkSecondsMin, kBookmarkSecondsMax));
  api_ = std::make_unique<apiserver::ApiServer>(world.clock, world.timers, world.random, world.log,
                                                *store_, api::Registry::builtin(), api_options);
  api_->start([this](base::Status status) {
    if (!status.ok()) return fail(std::move(status));
    serve();
  });
}

void ServerProcess::serve() {
  const world::World& world = process_.world();
  pipeline_ = api_->handler();
  for (size_t i = 0; i < callers_.size(); ++i) {
    caches_.push_back(callers_[i].is_disturbed
                          ? std::make_shared<CachedFront>(spec_, world, *store_,
                                                          rng_.fork(callers_[i].identity.name),
                                                          callers_[i].has_stale_lists)
                          : nullptr);
    fronts_.push_back(
        std::make_unique<net::HttpServer>(world.network, world.timers, nullptr, handler_for(i)));
    auto address = fronts_.back()->listen({kHost, static_cast<uint16_t>(kFirstPort + i)});
    if (!address.ok()) return fail(address.status());
  }
  is_serving_ = true;
}

void ServerProcess::fail(base::Status status) {
  status_ = std::move(status);
}

void ServerProcess::forget(size_t caller) {
  if (caller < caches_.size() && caches_[caller]) caches_[caller]->forget();
}

net::Handler ServerProcess::handler_for(size_t caller) {
  return [this, caller](net::Request request, net::ResponseSinkPtr sink) {
    request.identity = callers_[caller].identity;
    if (request.method != "GET") {
      on_request(request);
      sink = std::make_shared<AcknowledgingSink>(sink, checkers_, request, process_, on_answered_);
    }
    if (!caches_[caller]) return pipeline_(std::move(request), std::move(sink));
    caches_[caller]->handle(std::move(request), std::move(sink), pipeline_);
  };
}

void ServerProcess::on_request(const net::Request& request) {
  if (request.method == "DELETE") {
    const std::string key = store_key_of_path(request.path());
    if (!key.empty()) checkers_.on_delete_asked(key);
  } else if (request.method == "POST" && request.path().ends_with("/gangbindings") &&
             rng_.chance(spec_.nodes_deleted_while_binding)) {
    auto gang = base::Json::parse(request.body);
    if (gang.ok()) meddle_with(*gang);
  }
}

void ServerProcess::meddle_with(const base::Json& gang_binding) {
  const auto& bindings = gang_binding.at("spec.bindings").items();
  if (bindings.empty()) return;
  net::Request request;
  request.method = "DELETE";
  request.target = "/api/v1/nodes/" + bindings[rng_.below(bindings.size())]["nodeName"].as_string();
  request.identity = callers_[0].identity;
  on_request(request);
  pipeline_(std::move(request), std::make_shared<NullSink>());
}

}  // namespace pelton::scenario
