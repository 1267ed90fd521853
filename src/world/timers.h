// SPDX-License-Identifier: Apache-2.0
// Callbacks later, on the loop that owns everything here.
//
// A world is single-threaded: every callback of world/ runs on one loop, one at a time, never from
// within the call that registered it.
#pragma once
#include <cstdint>
#include <functional>
#include <utility>

#include "base/time.h"

namespace pelton::world {

class Timers {
 public:
  using Id = uint64_t;  ///< 0 is no timer
  virtual ~Timers() = default;
  /// Runs `fn` once, `delay` from now (steady time; negative counts as zero). Equal deadlines run
  /// in the order of registration.
  virtual Id after(base::Duration delay, std::function<void()> fn) = 0;
  /// Forgets it; an unknown or past id is fine.
  virtual void cancel(Id id) = 0;
  /// Runs `fn` soon, after what is already waiting.
  void post(std::function<void()> fn) { after(base::Duration(), std::move(fn)); }
};

/// At most one pending callback; dies with its owner, so that no callback outlives its object.
class Timer {
 public:
  explicit Timer(Timers& timers) : timers_(timers) {}
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Replaces a pending callback.
  void start(base::Duration delay, std::function<void()> fn) {
    cancel();
    id_ = timers_.after(delay, [this, fn = std::move(fn)] {
      id_ = 0;
      fn();
    });
  }
  void cancel() {
    if (id_ != 0) timers_.cancel(std::exchange(id_, 0));
  }
  bool is_pending() const { return id_ != 0; }

 private:
  Timers& timers_;
  Timers::Id id_ = 0;
};

}  // namespace pelton::world
