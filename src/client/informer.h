// SPDX-License-Identifier: Apache-2.0
// Keeps one kind of a Cache equal to the server: list, then watch, for ever.
//
// A watch that ends is resumed after the last revision seen; Gone, or an event that cannot be read,
// leads to a new list, whose differences are told like events. Failures back off with jitter.
// One loop. Destroying it ends everything; the cache keeps what it has.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/rng.h"
#include "base/time.h"
#include "client/cache.h"
#include "client/client.h"
#include "world/timers.h"

namespace pelton::client {

struct InformerOptions {
  std::string namespace_name;  ///< "" is all
  std::string label_selector;
  std::string field_selector;  ///< e.g. "spec.nodeName=node-0"
  base::Duration min_backoff = base::Duration::milliseconds(100);
  base::Duration max_backoff = base::Duration::seconds(10);
  /// A server that does not serve the kind has no objects of it: the cache is complete without.
  /// Only for kinds whose absence means nothing to anybody else: a server that just starts says
  /// NotFound of custom kinds too.
  bool may_be_unserved = false;
};

class Informer {
 public:
  /// All references must outlive it. `rng` jitters back-off.
  Informer(Client& client, Cache& cache, world::Timers& timers, base::Log& log, base::Rng rng,
           std::string kind, InformerOptions options = {});
  ~Informer();
  Informer(const Informer&) = delete;
  Informer& operator=(const Informer&) = delete;

  void start();
  const std::string& kind() const { return kind_; }
  bool is_synced() const { return cache_.is_synced(kind_); }

 private:
  void list();
  void watch();
  void on_event(WatchEventType type, base::Json object);
  void on_watch_end(const base::Status& status);
  void retry(const base::Status& why, bool is_relisting);

  Client& client_;
  Cache& cache_;
  base::Log& log_;
  base::Rng rng_;
  std::string kind_;
  InformerOptions options_;
  world::Timer timer_;
  std::unique_ptr<Watch> watch_;
  uint64_t revision_ = 0;
  int failures_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::client
