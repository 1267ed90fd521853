// SPDX-License-Identifier: Apache-2.0
#include "client/informer.h"

#include <algorithm>
#include <utility>

#include "api/object.h"

namespace pelton::client {

using base::Code;
using base::Json;
using base::Result;
using base::Status;

Informer::Informer(Client& client, Cache& cache, world::Timers& timers, base::Log& log,
                   base::Rng rng, std::string kind, InformerOptions options)
    : client_(client),
      cache_(cache),
      log_(log),
      rng_(rng),
      kind_(std::move(kind)),
      options_(std::move(options)),
      timer_(timers) {}

Informer::~Informer() = default;

void Informer::start() {
  list();
}

void Informer::list() {
  watch_.reset();
  ListOptions options;
  options.label_selector = options_.label_selector;
  options.field_selector = options_.field_selector;
  client_.list(kind_, options_.namespace_name, options,
               [this, alive = std::weak_ptr<bool>(alive_)](Result<ObjectList> list) {
                 if (alive.expired()) return;
                 if (!list.ok()) {
                   const bool is_unserved = list.status().code() == base::Code::NotFound;
                   if (is_unserved && options_.may_be_unserved) cache_.replace(kind_, {}, 0);
                   if (!alive.expired()) retry(list.status(), true);
                   return;
                 }
                 failures_ = 0;
                 revision_ = list->revision;
                 cache_.replace(kind_, std::move(list->items), revision_);
                 if (!alive.expired()) watch();
               });
}

void Informer::watch() {
  WatchOptions options;
  options.label_selector = options_.label_selector;
  options.field_selector = options_.field_selector;
  options.from_revision = revision_;
  WatchEvents events;
  events.on_event = [this](WatchEventType type, Json object) { on_event(type, std::move(object)); };
  events.on_end = [this](const Status& status) { on_watch_end(status); };
  watch_ = client_.watch(kind_, options_.namespace_name, options, std::move(events));
}

void Informer::on_event(WatchEventType type, Json object) {
  const uint64_t revision = revision_of(object);
  // An event of the past, told once more: the cache is beyond it.
  if (revision <= revision_) return;
  revision_ = revision;
  failures_ = 0;
  switch (type) {
    case WatchEventType::Added:
    case WatchEventType::Modified:
      return cache_.put(std::move(object));
    case WatchEventType::Deleted:
      return cache_.remove(object);
    case WatchEventType::Bookmark:
      return cache_.advance(kind_, revision);
  }
}

void Informer::on_watch_end(const Status& status) {
  if (!status.ok()) return retry(status, status.code() == Code::Gone);
  // The agreed end. A server that ends watches at once must not be asked in a tight loop.
  if (++failures_ > 2) return retry(base::unavailable("watches end early"), false);
  timer_.start(base::Duration(), [this] { watch(); });
}

void Informer::retry(const Status& why, bool is_relisting) {
  ++failures_;
  const int64_t shift = std::min(failures_ - 1, 20);
  const base::Duration limit =
      std::min(options_.max_backoff, options_.min_backoff * (int64_t{1} << shift));
  const base::Duration delay =
      limit / 2 + (limit / 2 * static_cast<int64_t>(rng_.below(1001))) / 1000;
  log_.debug("informer.retry", {{"kind", kind_},
                                {"why", why.to_string()},
                                {"relist", is_relisting},
                                {"delay_ms", delay.ms()}});
  timer_.start(delay, [this, is_relisting] { is_relisting ? list() : watch(); });
}

}  // namespace pelton::client
