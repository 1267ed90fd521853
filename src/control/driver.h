// SPDX-License-Identifier: Apache-2.0
// The one place where plans become writes.
//
// The driver listens to the cache, keeps a queue of (reconciler, key), calls reconcile and executes
// the commands in order. What makes it safe with a cache that is behind:
//   - a key is never in work twice; changes meanwhile mark it for another round;
//   - after a write the key waits until the cache shows that write (expectations), so that no
//     decision is taken on a past that the key itself has changed;
//   - a failure ends the plan; the key comes back after exponential back-off with jitter.
//     Conflict, NotFound and AlreadyExists are answers: somebody was faster. There, and where the
//     outcome is unknown, the object is read from the server first, and the key waits until the
//     cache has caught up with what was read.
// Keys that are due run in order of (time, reconciler, key); one loop; no recursion.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/rng.h"
#include "base/time.h"
#include "client/cache.h"
#include "client/client.h"
#include "control/execute.h"
#include "control/reconciler.h"
#include "world/clock.h"
#include "world/timers.h"

namespace pelton::control {

struct DriverOptions {
  base::Duration min_backoff = base::Duration::milliseconds(50);
  base::Duration max_backoff = base::Duration::seconds(30);
  /// A cache that does not show our write for so long is taken to have missed it.
  base::Duration expectation_timeout = base::Duration::seconds(30);
  size_t max_in_flight = 64;               ///< plans being executed at once
  provider::Provider* provider = nullptr;  ///< outlives the driver; null: no machine can be had
};

class Driver {
 public:
  /// All references must outlive the driver; the cache must tell nothing after the driver's death
  /// (they die together). Reconcilers are added before start().
  Driver(client::Client& client, client::Cache& cache, world::Clock& clock, world::Timers& timers,
         base::Log& log, base::Rng rng, DriverOptions options = {});
  ~Driver();
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  void add(std::unique_ptr<Reconciler> reconciler);
  /// Begins once every watched kind is synced; may be called before that.
  void start();
  /// Every watched kind, sorted.
  std::vector<std::string> watched_kinds() const;
  /// Nothing is being executed and nothing is due now (back-off and requeues may lie ahead).
  bool is_idle() const;
  /// Reconciles since start, for tests and metrics.
  uint64_t reconciles() const { return reconciles_; }

 private:
  struct Item;
  using ItemId = std::pair<size_t, Key>;  ///< reconciler's index and its key

  void on_change(std::string_view kind, const base::Json* before, const base::Json* after);
  void begin_once_synced();
  void enqueue(const ItemId& id, base::Duration delay);
  void unqueue(const ItemId& id, Item& item);
  void schedule_pump();
  void pump();
  void release_waiting();
  void begin(const ItemId& id, Item& item);
  void observe(const ItemId& id, Item& item);
  void reconcile(const ItemId& id, Item& item);
  void on_executed(const ItemId& id, const Plan& plan, ExecuteResult result);
  base::Duration backoff(int failures);
  bool is_caught_up(Item& item);

  client::Cache& cache_;
  world::Clock& clock_;
  base::Log& log_;
  base::Rng rng_;
  DriverOptions options_;
  Executor executor_;
  std::vector<std::unique_ptr<Reconciler>> reconcilers_;
  std::map<std::string, std::vector<size_t>, std::less<>> watchers_;  ///< kind -> reconcilers
  std::map<ItemId, Item> items_;
  std::set<std::pair<base::Duration, ItemId>> due_;  ///< by steady time
  std::set<ItemId> waiting_;                         ///< for the cache to show their writes
  size_t in_flight_ = 0;
  uint64_t reconciles_ = 0;
  bool is_started_ = false;
  bool is_running_ = false;
  world::Timer pump_timer_;
  std::optional<base::Duration> pump_at_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::control
