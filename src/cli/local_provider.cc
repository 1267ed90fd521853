// SPDX-License-Identifier: Apache-2.0
#include "cli/local_provider.h"

#include <utility>

#include "agent/node_object.h"

namespace pelton::cli {

namespace {

constexpr base::Duration kStartTimeout = base::Duration::seconds(60);

}  // namespace

LocalProvider::LocalProvider(world::World& world, DataDirectory directory, agent::Park park)
    : world_(world), directory_(std::move(directory)), park_(std::move(park)) {}

std::vector<base::Json> LocalProvider::offers() const {
  std::vector<base::Json> offers;
  for (const agent::Machine& machine : park_.machines) {
    if (machine.is_on_demand) offers.push_back(agent::build_offer(machine));
  }
  return offers;
}

void LocalProvider::create(const std::string& node_name, std::function<void(base::Status)> done) {
  const agent::Machine* machine = park_.find(node_name);
  base::Status status = base::ok();
  if (machine == nullptr || !machine->is_on_demand) {
    status = base::not_found("the park has no machine " + node_name + " on demand");
  } else if (on_their_way_.insert(node_name).second) {
    start(node_name);
  }
  world_.timers.after(base::Duration(),
                      [status, done = std::move(done), weak = std::weak_ptr<bool>(alive_)] {
                        if (!weak.expired()) done(status);
                      });
}

void LocalProvider::start(const std::string& node_name) {
  world_.log.info("machine.start", {{"node", node_name}});
  auto& start = starts_[node_name] = std::make_unique<PartStart>(world_, directory_);
  start->run(
      {{"agent-" + node_name, {"agent", "--data-dir", directory_.root, "--node", node_name}}},
      kStartTimeout, [this, node_name](const base::Status& status) {
        on_their_way_.erase(node_name);
        if (status.ok()) return;
        world_.log.warning("machine.failed", {{"node", node_name}, {"reason", status.message()}});
      });
}

}  // namespace pelton::cli
