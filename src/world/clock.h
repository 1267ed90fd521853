// SPDX-License-Identifier: Apache-2.0
// The time, as this world has it.
#pragma once
#include "base/time.h"

namespace pelton::world {

class Clock {
 public:
  virtual ~Clock() = default;
  /// Wall-clock time: for objects and people. May jump.
  virtual base::Instant now() = 0;
  /// Time since an arbitrary start that never goes back: for timeouts and measurements.
  virtual base::Duration elapsed() = 0;
};

}  // namespace pelton::world
