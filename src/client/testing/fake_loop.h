// SPDX-License-Identifier: Apache-2.0
// For tests: a clock and timers of virtual time, without a world around them.
#pragma once
#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "base/time.h"
#include "world/clock.h"
#include "world/timers.h"

namespace pelton::client {

class FakeLoop final : public world::Timers, public world::Clock {
 public:
  Id after(base::Duration delay, std::function<void()> fn) override {
    const base::Duration at = now_ + std::max(delay, base::Duration());
    waiting_.emplace(std::pair(at, ++last_id_), std::move(fn));
    return last_id_;
  }
  void cancel(Id id) override {
    std::erase_if(waiting_, [&](const auto& entry) { return entry.first.second == id; });
  }
  base::Instant now() override { return base::Instant::from_unix_seconds(1'700'000'000) + now_; }
  base::Duration elapsed() override { return now_; }

  /// Runs what is due within `span`, in order, and leaves the clock at its end.
  void advance(base::Duration span) {
    const base::Duration end = now_ + span;
    run_until([&] { return waiting_.empty() || waiting_.begin()->first.first > end; });
    now_ = end;
  }
  /// Runs what is due now, and what that makes due now.
  void settle() { advance(base::Duration()); }
  /// Runs one callback after another until `is_done`; whether it came to that.
  bool run_until(const std::function<bool()>& is_done, int max_steps = 1'000'000) {
    for (int i = 0; i < max_steps; ++i) {
      if (is_done()) return true;
      if (waiting_.empty() || !step()) return false;
    }
    return false;
  }
  /// Runs the next callback; false where there is none.
  bool step() {
    if (waiting_.empty()) return false;
    auto next = waiting_.extract(waiting_.begin());
    now_ = std::max(now_, next.key().first);
    next.mapped()();
    return true;
  }

 private:
  base::Duration now_;
  Id last_id_ = 0;
  std::map<std::pair<base::Duration, Id>, std::function<void()>> waiting_;
};

}  // namespace pelton::client
