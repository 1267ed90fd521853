// SPDX-License-Identifier: Apache-2.0
// The seam between Pelton and everything else: all that a component may touch, in one place.
//
// os/ makes one of these from Linux, sim/ from virtual time and a seed. Components take the parts
// that they need, or the whole, by constructor; none asks which world it is in.
#pragma once
#include "base/log.h"
#include "world/clock.h"
#include "world/executor.h"
#include "world/files.h"
#include "world/network.h"
#include "world/processes.h"
#include "world/random.h"
#include "world/timers.h"

namespace pelton::world {

struct World {
  Clock& clock;
  Timers& timers;
  Files& files;
  Network& network;
  Processes& processes;
  Executor& executor;
  Random& random;
  base::Log& log;
};

}  // namespace pelton::world
