// SPDX-License-Identifier: Apache-2.0
// Machines of a simulated cluster that are on demand: each boots for a while once it is asked for.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "provider/provider.h"
#include "scenario/spec.h"
#include "world/timers.h"

namespace pelton::scenario {

class SimulatedProvider final : public provider::Provider {
 public:
  struct Machine {
    base::Json offer;
    std::function<void()> start;  ///< where it runs already, nothing
  };
  /// Outlives the controllers that ask: a boot goes on without them.
  SimulatedProvider(world::Timers& timers, base::Rng rng, DurationRange boot)
      : timers_(timers), rng_(rng), boot_(boot) {}

  void add(const std::string& node_name, Machine machine) {
    machines_.emplace(node_name, std::move(machine));
  }
  std::vector<base::Json> offers() const override;
  void create(const std::string& node_name, std::function<void(base::Status)> done) override;

 private:
  world::Timers& timers_;
  base::Rng rng_;
  const DurationRange boot_;
  std::map<std::string, Machine> machines_;
  std::set<std::string> booting_;
};

}  // namespace pelton::scenario
