// SPDX-License-Identifier: Apache-2.0
#include "agent/object_watches.h"

#include <vector>

#include "client/informer.h"

namespace pelton::agent {

/// One object with its own small cache.
class ObjectWatches::Watched {
 public:
  Watched(client::Client& client, world::Timers& timers, base::Log& log, base::Rng rng,
          const client::ObjectKey& key)
      : timers_(timers),
        informer_(
            client, cache_, timers, log, rng, key.kind,
            {.namespace_name = key.namespace_name, .field_selector = "metadata.name=" + key.name}) {
    cache_.subscribe(
        [this, key](std::string_view, const base::Json* before, const base::Json* after) {
          const base::Json* object = after != nullptr ? after : before;
          if (object == nullptr || client::key_of(*object) != key) return;
          tell(after == nullptr ? 0 : client::revision_of(*after));
        });
    informer_.start();
  }

  void add(const std::shared_ptr<Changed>& listener) {
    listeners_.emplace_back(listener);
    if (revision_ != 0) post(listener, revision_);
  }

 private:
  void tell(uint64_t revision) {
    revision_ = revision;
    std::erase_if(listeners_, [](const auto& listener) { return listener.expired(); });
    for (const auto& listener : listeners_) post(listener, revision);
  }
  void post(const std::weak_ptr<Changed>& listener, uint64_t revision) {
    timers_.post([listener, revision] {
      if (const auto held = listener.lock()) (*held)(revision);
    });
  }

  world::Timers& timers_;
  client::Cache cache_;
  client::Informer informer_;
  uint64_t revision_ = 0;
  std::vector<std::weak_ptr<Changed>> listeners_;
};

ObjectWatches::Handle ObjectWatches::watch(const client::ObjectKey& key, Changed changed) {
  std::erase_if(watched_, [](const auto& entry) { return entry.second.expired(); });
  std::shared_ptr<Watched> watched = watched_[key].lock();
  if (!watched) {
    watched = std::make_shared<Watched>(client_, timers_, log_, rng_.fork(key.to_string()), key);
    watched_[key] = watched;
  }
  // The handle is the listener and keeps the watch.
  struct Held {
    std::shared_ptr<Watched> watched;
    Changed changed;
  };
  auto held = std::make_shared<Held>(Held{watched, std::move(changed)});
  const std::shared_ptr<Changed> listener(held, &held->changed);
  watched->add(listener);
  return listener;
}

}  // namespace pelton::agent
