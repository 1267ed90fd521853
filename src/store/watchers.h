// SPDX-License-Identifier: Apache-2.0
// Everybody who watches. Each watcher is a position in the shared history: nothing is copied for
// it, and one that is too slow is cut when it falls too far behind.
#pragma once
#include <list>
#include <map>
#include <memory>
#include <string>

#include "store/state.h"
#include "store/store.h"
#include "world/timers.h"

namespace pelton::store {

class Watchers {
 public:
  Watchers(const State& state, world::Timers& timers, const Options& options);
  ~Watchers();

  base::Result<std::unique_ptr<Watch>> add(std::string_view prefix, Revision from,
                                           WatchEvents events);
  /// Deliver what is new, soon.
  void wake();
  /// Ends all with this error, soon.
  void end_all(base::Status why);

 private:
  struct Watcher;
  class Handle;
  void pump();
  /// Whether it has to be asked again since its receiver was full.
  bool pump_one(Watcher& watcher);
  static void end(Watcher& watcher, const base::Status& why);

  const State& state_;
  const Options& options_;
  world::Timer soon_, later_;
  std::list<std::shared_ptr<Watcher>> watchers_;
  base::Status ended_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::store
