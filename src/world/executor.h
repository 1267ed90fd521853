// SPDX-License-Identifier: Apache-2.0
// Pure work off the loop.
#pragma once
#include <functional>

namespace pelton::world {

class Executor {
 public:
  virtual ~Executor() = default;
  /// Runs `work` elsewhere (it may touch nothing that the loop touches), then `done` on the loop.
  virtual void run(std::function<void()> work, std::function<void()> done) = 0;
};

}  // namespace pelton::world
