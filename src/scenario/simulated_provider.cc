// SPDX-License-Identifier: Apache-2.0
#include "scenario/simulated_provider.h"

#include <utility>

namespace pelton::scenario {

std::vector<base::Json> SimulatedProvider::offers() const {
  std::vector<base::Json> offers;
  for (const auto& [name, machine] : machines_) offers.push_back(machine.offer);
  return offers;
}

void SimulatedProvider::create(const std::string& node_name,
                               std::function<void(base::Status)> done) {
  const auto machine = machines_.find(node_name);
  const bool is_known = machine != machines_.end();
  if (is_known && booting_.insert(node_name).second) {
    timers_.after(boot_.draw(rng_), [this, node_name, &start = machine->second.start] {
      booting_.erase(node_name);
      start();
    });
  }
  timers_.after(base::Duration(), [is_known, node_name, done = std::move(done)] {
    done(is_known ? base::ok() : base::not_found("there is no machine " + node_name));
  });
}

}  // namespace pelton::scenario
