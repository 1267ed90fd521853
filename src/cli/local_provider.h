// SPDX-License-Identifier: Apache-2.0
// The machines of an embedded cluster's park that are on demand: each is an agent on this machine.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>

#include "agent/park.h"
#include "cli/data_directory.h"
#include "cli/part.h"
#include "provider/provider.h"
#include "world/world.h"

namespace pelton::cli {

class LocalProvider final : public provider::Provider {
 public:
  /// Credentials of the park's nodes are there already. `world` must outlive it; agents that it
  /// started outlive it.
  LocalProvider(world::World& world, DataDirectory directory, agent::Park park);

  std::vector<base::Json> offers() const override;
  void create(const std::string& node_name, std::function<void(base::Status)> done) override;

 private:
  void start(const std::string& node_name);

  world::World& world_;
  const DataDirectory directory_;
  const agent::Park park_;
  std::map<std::string, std::unique_ptr<PartStart>> starts_;
  std::set<std::string> on_their_way_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::cli
