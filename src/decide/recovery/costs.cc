// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/costs.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace pelton::decide::recovery {
namespace {

using base::Instant;

// Priors, for as long as a job has measured nothing itself. Published figures and our own
// measurements of the peers; each counts from the failure to the next step.
constexpr double kInPlaceSeconds = 1;      // NVRx restarts in a process in 1 s and its timers
constexpr double kPodSeconds = 5;          // torchrun's cold start, 2.5 to 3.7 s, and a sandbox
constexpr double kWarmSpareSeconds = 1.5;  // as in place, and its state comes from a peer
constexpr double kColdSpareSeconds = 4;    // torchrun's cold start
constexpr double kShrinkSeconds = 1.3;     // as in place, and resharding
// Karpenter's end-to-end test allows 2 minutes for a scale-out; a machine's boot is most of it.
constexpr double kMachineSeconds = 90;
constexpr const char* kMachineSource = "prior 90 s: a machine's boot, and a new sandbox";
constexpr double kRepairSeconds = 81'000;       // 0.94 days: the median of the InfiniteHBD trace
constexpr double kFailuresPerNodeDay = 0.0042;  // of the same trace
constexpr double kSecondsPerDay = 86'400;
constexpr size_t kSamplesMax = 15;

Seconds prior_of(Rung rung, bool is_warm) {
  switch (rung) {
    case Rung::RestartInPlace:
      return {kInPlaceSeconds, "prior 1 s: in-process restarts of NVRx"};
    case Rung::SwapSpare:
      if (is_warm) return {kWarmSpareSeconds, "prior 1.5 s: in place, and the state from a peer"};
      return {kColdSpareSeconds, "prior 4 s: a cold start of torchrun"};
    case Rung::Shrink:
    case Rung::ChangeMesh:
    case Rung::Grow:
      return {kShrinkSeconds, "prior 1.3 s: in place, and resharding"};
    default:
      return {kPodSeconds, "prior 5 s: a cold start of torchrun in a new sandbox"};
  }
}

double median_of(std::vector<double> samples) {
  const auto middle = samples.begin() + static_cast<ptrdiff_t>(samples.size() / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  return *middle;
}

Seconds measured(const std::vector<double>& samples) {
  const double value = median_of(samples);
  return {value, fmt::format("median of {} measured: {:.2f} s", samples.size(), value)};
}

/// A generation that waited is no generation that ran: the clock began before it.
Instant trouble_before(const std::vector<PastGeneration>& history, size_t index) {
  while (index > 0) {
    const PastGeneration& before = history[--index];
    if (before.phase == Generation::Phase::Waiting) continue;
    return before.failure.at != Instant() ? before.failure.at : before.ended;
  }
  return Instant();
}

/// Absent (negative): nothing was lost, or it cannot be told.
double sample_at(const std::vector<PastGeneration>& history, size_t index) {
  const PastGeneration& past = history[index];
  const Instant from = trouble_before(history, index);
  if (past.folded > 0 || past.first_step_at == Instant() || from == Instant()) return -1;
  return (past.first_step_at - from).to_seconds();
}

std::vector<double> samples_of(const JobRecord& record, Rung rung) {
  std::vector<double> samples;
  for (size_t i = record.history.size(); i-- > 1 && samples.size() < kSamplesMax;) {
    if (record.history[i].rung != rung) continue;
    const double seconds = sample_at(record.history, i);
    if (seconds >= 0) samples.push_back(seconds);
  }
  return samples;
}

}  // namespace

Seconds recovery_time(const JobRecord& record, Rung rung, bool is_warm) {
  const std::vector<double> samples = samples_of(record, rung);
  if (!samples.empty()) return measured(samples);
  Seconds prior = prior_of(rung, is_warm);
  // A job that is slow to begin again in place is slow on the other rungs too: no prior may win
  // against a measurement for being a prior.
  const std::vector<double> in_place = samples_of(record, Rung::RestartInPlace);
  const double factor = in_place.empty() ? 1 : median_of(in_place) / kInPlaceSeconds;
  if (factor <= 1) return prior;
  prior.value *= factor;
  prior.source += fmt::format(", times {:.1f} as restarts in place here", factor);
  return prior;
}

Seconds waiting_time(const JobRecord& record, bool needs_machine) {
  std::vector<double> samples;
  for (auto past = record.history.rbegin(); past != record.history.rend(); ++past) {
    if (past->phase != Generation::Phase::Waiting || past->rung != Rung::Wait) continue;
    if (past->folded > 0 || samples.size() >= kSamplesMax) break;
    samples.push_back((past->ended - past->began).to_seconds());
  }
  if (samples.empty()) {
    Seconds time = recovery_time(record, Rung::RestartPod, false);
    if (needs_machine) time = {time.value + kMachineSeconds, kMachineSource};
    return time;
  }
  Seconds time = measured(samples);
  time.value += recovery_time(record, Rung::RestartInPlace, true).value;
  return time;
}

Seconds repair_time() {
  return {kRepairSeconds, "prior 0.94 days: median repair of the InfiniteHBD trace"};
}

Seconds time_between_failures(const JobRecord& record, size_t nodes, base::Duration calm) {
  std::vector<double> samples;
  for (const PastGeneration& past : record.history) {
    if (past.failure.cause.empty() || past.folded > 0) continue;
    samples.push_back((past.ended - past.began).to_seconds());
  }
  constexpr size_t kEnough = 3;
  if (samples.size() >= kEnough) {
    const Seconds before = measured(samples);
    if (before.value >= calm.to_seconds()) return before;
    return {calm.to_seconds(), "as long again as this generation has run"};
  }
  const double count = static_cast<double>(std::max<size_t>(nodes, 1));
  return {kSecondsPerDay / (kFailuresPerNodeDay * count),
          "prior 4.2 failures per 1,000 node-days: the InfiniteHBD trace"};
}

}  // namespace pelton::decide::recovery
