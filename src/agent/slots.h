// SPDX-License-Identifier: Apache-2.0
// So many pieces of work at once, the others in the order in which they asked.
//
// Starting a pod is a dozen short processes and as many small files. A hundred pods that start at
// the same moment would each advance by one step in every turn of the agent's loop: no pod is
// ready early, and the node's heartbeat waits behind all of them until the node counts as dead.
#pragma once
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>

#include "world/timers.h"

namespace pelton::agent {

class Slots {
 public:
  /// A slot that is taken; free again when the last copy of it is gone.
  using Slot = std::shared_ptr<void>;

  Slots(size_t count, world::Timers& timers)
      : state_(std::make_shared<State>(State{timers, count, {}})) {}

  /// Calls `go` once from the loop, never from within, as soon as a slot is free. Who asks and may
  /// be gone by then looks for himself: there is no taking back.
  void take(std::function<void(Slot)> go) {
    state_->waiting.push_back(std::move(go));
    State::next_soon(state_);
  }

 private:
  struct State {
    world::Timers& timers;
    size_t free;
    std::deque<std::function<void(Slot)>> waiting;

    static void next_soon(const std::weak_ptr<State>& weak) {
      const auto state = weak.lock();
      if (!state || state->free == 0 || state->waiting.empty()) return;
      --state->free;
      const Slot slot(nullptr, [weak](void*) {
        const auto owner = weak.lock();
        if (!owner) return;
        ++owner->free;
        next_soon(weak);
      });
      state->timers.post([go = std::move(state->waiting.front()), slot] { go(slot); });
      state->waiting.pop_front();
    }
  };
  std::shared_ptr<State> state_;
};

}  // namespace pelton::agent
