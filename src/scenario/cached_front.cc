// SPDX-License-Identifier: Apache-2.0
#include "scenario/cached_front.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/registry.h"
#include "base/strings.h"

namespace pelton::scenario {
namespace {

using base::Duration;
using base::Json;

constexpr Duration kRemembered = Duration::seconds(30);

/// The object that a path names, not a collection or subresource.
struct Place {
  const api::ResourceInfo* resource = nullptr;
  std::string key;
};

Place place_of(std::string_view path) {
  const auto parts = base::split(path, '/');  // "", "api", "v1", … or "", "apis", group, version, …
  const size_t n = parts.size();
  const size_t root = n > 1 && parts[1] == "apis" ? 4 : 3;
  if (n < root + 2) return {};
  const std::string_view group = root == 4 ? parts[2] : std::string_view();
  const bool is_namespaced = n == root + 4 && parts[root] == "namespaces";
  if (!is_namespaced && n != root + 2) return {};
  const api::ResourceInfo* resource =
      api::Registry::builtin().find(group, parts[root - 1], parts[n - 2]);
  if (!resource || resource->is_virtual) return {};
  return {resource, resource->storage->store_key(
                        is_namespaced ? parts[root + 1] : std::string_view(), parts[n - 1])};
}

}  // namespace

std::string store_key_of_path(std::string_view path) {
  return place_of(path).key;
}

/// Delays, repeats and cuts the lines of one watch.
class CachedFront::WatchSink final : public net::ResponseSink,
                                     public std::enable_shared_from_this<WatchSink> {
 public:
  WatchSink(std::shared_ptr<CachedFront> front, net::ResponseSinkPtr next, std::string collection)
      : front_(std::move(front)), next_(std::move(next)), collection_(std::move(collection)) {}

  void head(net::ResponseHead head) override { next_->head(std::move(head)); }
  void write(std::string_view bytes) override {
    queued_bytes_ += bytes.size();
    later([this, line = std::string(bytes), shown = front_->store_.revision()] {
      queued_bytes_ -= line.size();
      deliver(line, shown);
    });
  }
  void end() override {
    later([this] { finish(); });
  }
  size_t backlog() const override { return queued_bytes_ + next_->backlog(); }
  bool is_gone() const override { return is_over_ || next_->is_gone(); }
  void on_gone(std::function<void()> gone) override {
    gone_ = gone;
    next_->on_gone(std::move(gone));
  }

 private:
  /// In order: nothing overtakes what was written before.
  void later(std::function<void()> act) {
    const Duration now = front_->world_.clock.elapsed();
    due_ = std::max(due_, now + front_->spec_.watch_delay.draw(front_->rng_));
    front_->world_.timers.after(due_ - now, [self = shared_from_this(), act = std::move(act)] {
      if (!self->is_over_) act();
    });
  }
  void deliver(const std::string& line, store::Revision shown) {
    store::Revision& newest = front_->shown_[collection_];
    newest = std::max(newest, shown);
    next_->write(line);
    if (front_->rng_.chance(front_->spec_.duplicated_events)) next_->write(line);
    if (!front_->rng_.chance(front_->spec_.dropped_watches)) return;
    // Cleanly, or in the middle of the next event.
    if (front_->rng_.chance(0.5)) next_->write(line.substr(0, line.size() / 2));
    auto gone = std::move(gone_);
    finish();
    if (gone) gone();
  }
  void finish() {
    if (std::exchange(is_over_, true)) return;
    if (!next_->is_gone()) next_->end();
  }

  std::shared_ptr<CachedFront> front_;
  net::ResponseSinkPtr next_;
  const std::string collection_;
  std::function<void()> gone_;
  Duration due_;
  size_t queued_bytes_ = 0;
  bool is_over_ = false;
};

CachedFront::CachedFront(const Spec& spec, const world::World& world, const store::Store& store,
                         base::Rng rng, bool has_stale_lists)
    : spec_(spec), world_(world), store_(store), rng_(rng), has_stale_lists_(has_stale_lists) {}

void CachedFront::handle(net::Request request, net::ResponseSinkPtr sink,
                         const net::Handler& next) {
  const Duration now = world_.clock.elapsed();
  if (past_.empty() || past_.back().second != store_.revision()) {
    past_.emplace_back(now, store_.revision());
  }
  while (past_.size() > 1 && past_[1].first < now - kRemembered) past_.pop_front();
  if (request.method == "GET") {
    const std::string collection(request.path());
    if (request.query("watch")) {
      sink = std::make_shared<WatchSink>(shared_from_this(), std::move(sink), collection);
    } else if (rng_.chance(spec_.stale_reads.share)) {
      if (answer_stale_get(request, sink)) return;
      if (has_stale_lists_) make_list_stale(request, collection);
    }
  }
  next(std::move(request), std::move(sink));
}

store::Revision CachedFront::stale_revision(const std::string& collection) {
  const Duration then = world_.clock.elapsed() - spec_.stale_reads.lag.draw(rng_);
  store::Revision at = past_.front().second;
  for (const auto& [when, revision] : past_) {
    if (when <= then) at = revision;
  }
  return std::max({at, store_.oldest_revision(), shown_[collection]});
}

bool CachedFront::answer_stale_get(const net::Request& request, const net::ResponseSinkPtr& sink) {
  const Place place = place_of(request.path());
  if (!place.resource || !place.resource->is_served_as_stored()) return false;
  auto page = store_.list(place.key, {.at = stale_revision(std::string(request.path()))});
  if (!page.ok()) return false;
  for (const store::Entry& entry : page->entries) {
    if (entry.key != place.key) continue;
    sink->respond(200, "application/json", *entry.bytes);
    return true;
  }
  const Json status = Json::object({{"kind", "Status"},
                                    {"apiVersion", "v1"},
                                    {"status", "Failure"},
                                    {"message", place.key + " not found"},
                                    {"reason", "NotFound"},
                                    {"code", 404}});
  sink->respond(404, "application/json", status.dump());
  return true;
}

void CachedFront::make_list_stale(net::Request& request, const std::string& collection) {
  if (request.query("resourceVersion") || request.query("continue")) return;
  const bool has_query = request.target.find('?') != std::string::npos;
  request.target += fmt::format("{}resourceVersion={}&resourceVersionMatch=Exact",
                                has_query ? '&' : '?', stale_revision(collection));
}

}  // namespace pelton::scenario
