// SPDX-License-Identifier: Apache-2.0
// Watches some kinds as any client may, lets go now and then, resumes wherever it was, and holds
// each event against the history: nothing may be left out, told twice, or told otherwise than it
// happened, and no bookmark may promise more than was told.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "client/client.h"
#include "scenario/checkers.h"
#include "scenario/sim_transport.h"
#include "world/world.h"

namespace pelton::scenario {

class Observer {
 public:
  /// Begins at once. All must outlive it.
  Observer(const world::World& world, size_t caller, Checkers& checkers, base::Rng rng);
  ~Observer();
  /// Every change so far was told.
  bool has_caught_up() const;
  /// How often its place in the history was gone, so that it had to list anew.
  int64_t relists() const { return relists_; }

 private:
  struct Kind;
  void list(Kind& kind);
  void watch(Kind& kind);
  base::Duration draw(base::Duration longest);
  void on_event(Kind& kind, client::WatchEventType type, const base::Json& object);

  Checkers& checkers_;
  base::Rng rng_;
  world::Timers& timers_;
  SimTransport transport_;
  client::Client client_;
  std::vector<std::unique_ptr<Kind>> kinds_;
  int64_t relists_ = 0;
};

}  // namespace pelton::scenario
