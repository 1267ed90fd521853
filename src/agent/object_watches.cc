// SPDX-License-Identifier: Apache-2.0
#include "agent/object_watches.h"

#include <utility>
#include <vector>

#include "client/informer.h"

namespace pelton::agent {

/// One object with its own small cache.
class ObjectWatches::Watched {
 public:
  Watched(client::Client& client, world::Timers& timers, base::Log& log, base::Rng rng,
          const client::ObjectKey& key)
      : key_(key),
        tell_(timers),
        informer_(
            client, cache_, timers, log, rng, key.kind,
            {.namespace_name = key.namespace_name, .field_selector = "metadata.name=" + key.name}) {
    cache_.subscribe(
        [this](std::string_view kind, const base::Json* before, const base::Json* after) {
          const base::Json* object = after != nullptr ? after : before;
          const bool is_first_list = object == nullptr && kind == key_.kind;
          if (is_first_list || (object != nullptr && client::key_of(*object) == key_)) tell_soon();
        });
    informer_.start();
  }

  void add(const std::shared_ptr<Changed>& listener) {
    listeners_.push_back({listener, false});
    if (cache_.is_synced(key_.kind)) tell_soon();
  }

 private:
  struct Listener {
    std::weak_ptr<Changed> changed;
    bool is_told = false;
  };
  /// Who has been told already is told again only of changes.
  void tell_soon() {
    if (!tell_.is_pending()) tell_.start(base::Duration(), [this] { tell(); });
  }
  void tell() {
    const base::Json* object = cache_.get(key_.kind, key_.namespace_name, key_.name);
    const uint64_t revision = object == nullptr ? 0 : client::revision_of(*object);
    const bool is_new = std::exchange(revision_, revision) != revision;
    std::vector<std::shared_ptr<Changed>> due;
    std::erase_if(listeners_, [](const Listener& each) { return each.changed.expired(); });
    for (Listener& listener : listeners_) {
      if (!std::exchange(listener.is_told, true) || is_new) due.push_back(listener.changed.lock());
    }
    // Last: whoever is told may let go of his handle, and of this with it.
    for (const auto& changed : due) (*changed)(object);
  }

  client::ObjectKey key_;
  client::Cache cache_;
  world::Timer tell_;
  client::Informer informer_;
  uint64_t revision_ = 0;
  std::vector<Listener> listeners_;
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
