// SPDX-License-Identifier: Apache-2.0
// For commands that are one step after the other: start something, run the loop until it is done.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "os/os_world.h"

namespace pelton::cli {

/// Calls `start` with a callback and runs the loop until the callback has come. Only at the top of
/// a command, never from a callback.
template <typename T>
T await(os::OsWorld& os, const std::function<void(std::function<void(T)>)>& start) {
  auto result = std::make_shared<std::optional<T>>();
  start([result, &os](T value) {
    *result = std::move(value);
    os.stop();
  });
  // A stop() from before run() may be seen by a later run(): hence the loop.
  while (!result->has_value()) os.run();
  return std::move(**result);
}

}  // namespace pelton::cli
