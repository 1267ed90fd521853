// SPDX-License-Identifier: Apache-2.0
#include "scenario/work_account.h"

#include <algorithm>
#include <cmath>

namespace pelton::scenario {

using base::Duration;
using decide::goodput::Category;

namespace {

Duration seconds(double value) {
  return Duration::nanoseconds(static_cast<int64_t>(std::llround(value * 1e9)));
}

}  // namespace

void WorkAccount::add(Category category, Duration time) {
  Duration& sum = categories_[category];
  sum = sum + time;
}

void WorkAccount::stepped(Duration time, double rate, double stalls) {
  time_ = std::max(time, Duration());
  rate_ = rate;
  stalls_ = stalls;
  reached_ = restored_ + time_.to_seconds() * rate;
}

void WorkAccount::settle(double kept) {
  const double lost = reached_ - kept;
  lost_most_ = std::max(lost_most_, seconds(lost));
  const double in_this = std::min(lost, reached_ - restored_);
  const Duration wasted = std::min(seconds(in_this / rate_), time_);
  const double kept_in_this = reached_ - restored_ - in_this;
  const Duration saving = std::min(seconds(kept_in_this * stalls_), time_ - wasted);
  add(Category::WastedProgress, wasted);
  add(Category::CheckpointSave, saving);
  add(Category::Productive, time_ - wasted - saving);
  // What an earlier generation did and was thought to be safe.
  const Duration earlier = std::min(seconds(lost - in_this), categories_[Category::Productive]);
  add(Category::Productive, Duration() - earlier);
  add(Category::WastedProgress, earlier);
  restored_ = reached_ = kept;
  time_ = Duration();
}

}  // namespace pelton::scenario
