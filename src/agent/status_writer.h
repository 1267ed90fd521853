// SPDX-License-Identifier: Apache-2.0
// Brings a pod's status to the API: one write at a time, repeated until it is taken.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/json.h"
#include "client/client.h"
#include "world/world.h"

namespace pelton::agent {

class StatusWriter {
 public:
  /// `stored` gets the pod as the API has it after a write. `look_again` comes after each write,
  /// and when a failed one is due again: then push() what is wanted by now.
  StatusWriter(client::Client& client, world::World world,
               std::function<void(const base::Json& pod)> stored, std::function<void()> look_again);

  /// Writes the status of this pod (name and uid count) unless it is stored already. While a write
  /// is under way it does nothing.
  void push(const base::Json& pod, base::Json status);
  /// Whether exactly this has been taken (or the pod is gone) and nothing is under way.
  bool has_stored(const base::Json& status) const { return !is_pushing_ && pushed_ == status; }

 private:
  client::Client& client_;
  world::World world_;
  std::function<void(const base::Json&)> stored_;
  std::function<void()> look_again_;
  world::Timer retry_;
  base::Json pushed_;  ///< what the API has taken last
  bool is_pushing_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::agent
