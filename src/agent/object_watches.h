// SPDX-License-Identifier: Apache-2.0
// Tells of changes of single objects (the ConfigMaps and Secrets that pods mount, the policies by
// which their jobs recover), each watched once however many ask for it.
#pragma once
#include <functional>
#include <map>
#include <memory>

#include "base/log.h"
#include "base/rng.h"
#include "client/cache.h"
#include "client/client.h"
#include "world/timers.h"

namespace pelton::agent {

class ObjectWatches {
 public:
  /// Everything must outlive it. `rng` jitters retries.
  ObjectWatches(client::Client& client, world::Timers& timers, base::Log& log, base::Rng rng)
      : client_(client), timers_(timers), log_(log), rng_(rng) {}

  /// Held as long as somebody wants to be told.
  using Handle = std::shared_ptr<void>;
  /// Gives the object as it is now; null where there is none (any more).
  using Changed = std::function<void(const base::Json* object)>;

  /// Calls `changed` from the loop, never from within, after changes (several may be one call), and
  /// once when the first state is known, be it that there is no such object. Not after the handle
  /// is gone. The watch must not outlive this.
  Handle watch(const client::ObjectKey& key, Changed changed);

 private:
  class Watched;
  client::Client& client_;
  world::Timers& timers_;
  base::Log& log_;
  base::Rng rng_;
  std::map<client::ObjectKey, std::weak_ptr<Watched>> watched_;
};

}  // namespace pelton::agent
