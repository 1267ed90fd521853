// SPDX-License-Identifier: Apache-2.0
#include "launch/progress.h"

#include <algorithm>
#include <utility>

namespace pelton::launch {
namespace {

/// What is no longer part of the step before it.
bool ends_a_step(Phase phase) {
  return phase == Phase::Eval || phase == Phase::Save || phase == Phase::Done;
}

}  // namespace

void Progress::on_beat(const Beat& beat) {
  if (step_ >= 0 && ((beat.step >= 0 && beat.step != step_) || ends_a_step(beat.phase))) {
    end_step(beat.at_ns);
  }
  spent_ns_[phase_] += std::max<int64_t>(0, beat.at_ns - since_ns_);
  if (!std::exchange(has_begun_, true)) begun_ns_ = beat.at_ns;
  phase_ = beat.phase;
  since_ns_ = beat.at_ns;
  if (beat.step >= 0) step_ = beat.step;
}

void Progress::end_step(int64_t at_ns) {
  if (step_ == last_step_) return;  // after a save within it, for example
  if (first_step_ < 0) {
    first_step_ = step_;
    first_step_ns_ = at_ns;
  }
  last_step_ = step_;
  last_step_ns_ = at_ns;
}

std::map<std::string, double> Progress::phase_seconds(int64_t now_ns) const {
  std::map<std::string, double> seconds;
  for (const auto& [phase, ns] : spent_ns_) {
    seconds[phase_name(phase)] += static_cast<double>(ns) * 1e-9;
  }
  seconds[phase_name(phase_)] +=
      static_cast<double>(std::max<int64_t>(0, now_ns - since_ns_)) * 1e-9;
  return seconds;
}

}  // namespace pelton::launch
