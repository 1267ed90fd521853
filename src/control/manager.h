// SPDX-License-Identifier: Apache-2.0
// All controllers over one Transport: a client, a cache, an informer per watched kind, a driver.
//
//   Manager manager(world, transport, make_reconcilers(options));
//   manager.start();   // runs until destroyed
//
// Destroying it is a crash, as far as the cluster can tell: nothing is flushed. Its successor goes
// on from what the API shows. One loop.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "client/cache.h"
#include "client/client.h"
#include "client/informer.h"
#include "client/transport.h"
#include "control/driver.h"
#include "control/reconciler.h"
#include "world/world.h"

namespace pelton::control {

class Manager {
 public:
  /// `world` and `transport` must outlive the manager.
  Manager(const world::World& world, client::Transport& transport,
          std::vector<std::unique_ptr<Reconciler>> reconcilers, DriverOptions options = {});
  ~Manager();

  void start();
  /// Every watched kind has been listed once.
  bool is_synced() const;
  /// Synced, and nothing is being executed or due: waits for changes or for time.
  bool is_idle() const { return is_synced() && driver_.is_idle(); }
  const client::Cache& cache() const { return cache_; }
  client::Client& client() { return client_; }
  const Driver& driver() const { return driver_; }

 private:
  client::Client client_;
  client::Cache cache_;
  Driver driver_;
  std::vector<std::unique_ptr<client::Informer>> informers_;
};

}  // namespace pelton::control
