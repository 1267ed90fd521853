// SPDX-License-Identifier: Apache-2.0
// The machine's time and randomness.
#pragma once
#include <string>

#include "world/clock.h"
#include "world/random.h"

namespace pelton::os {

class OsClock final : public world::Clock {
 public:
  base::Instant now() override;
  base::Duration elapsed() override;
};

/// getrandom(2).
class OsRandom final : public world::Random {
 public:
  std::string bytes(size_t size) override;
};

}  // namespace pelton::os
