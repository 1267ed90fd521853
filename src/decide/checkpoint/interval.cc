// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/interval.h"

#include <algorithm>
#include <cmath>

namespace pelton::decide::checkpoint {
namespace {

constexpr double kSecondsPerDay = 86'400;

}  // namespace

base::Duration mean_time_between(const Failures& failures) {
  const double per_node_day = (kPriorFailures + failures.observed_failures) /
                              (kPriorNodeDays + failures.observed_node_days);
  constexpr double kLongest = 9e18;  // nanoseconds in 64 bits
  const double seconds = kSecondsPerDay / (per_node_day * std::max(failures.nodes, 1.0));
  return base::Duration::nanoseconds(static_cast<int64_t>(std::min(seconds * 1e9, kLongest)));
}

base::Duration decide_interval(const SaveCost& cost, base::Duration mean_time_between) {
  const double c = static_cast<double>(std::max<int64_t>(cost.stall.ns(), 1));
  const double m = static_cast<double>(std::max<int64_t>(mean_time_between.ns(), 1));
  double best = m;
  if (c < 2 * m) {
    best = std::sqrt(2 * c * m) * (1 + std::sqrt(c / (2 * m)) / 3 + c / (18 * m)) - c;
  }
  return std::max(base::Duration::nanoseconds(static_cast<int64_t>(best)), cost.drain);
}

int64_t interval_in_steps(base::Duration interval, base::Duration step) {
  if (step.ns() <= 0) return 1;
  return std::max<int64_t>(1, (interval.ns() + step.ns() / 2) / step.ns());
}

SavePlan plan_saves(const Measured& measured) {
  // Until it is known: disks are so much slower than memory.
  constexpr int64_t kDrainOfStall = 10;
  const ObservedFailures& observed = measured.observed;
  const auto steps = [&](base::Duration drain, int64_t failures) {
    const base::Duration between = mean_time_between(
        {.nodes = measured.nodes,
         .observed_node_days = static_cast<double>(observed.node_seconds) / kSecondsPerDay,
         .observed_failures = static_cast<double>(failures)});
    return interval_in_steps(decide_interval({measured.stall, drain}, between), measured.step);
  };
  const base::Duration drain =
      measured.drain.ns() > 0 ? measured.drain : measured.stall * kDrainOfStall;
  SavePlan plan;
  plan.memory = steps({}, observed.memory);
  plan.durable = steps(drain, observed.durable + (measured.has_memory ? 0 : observed.memory));
  if (!measured.has_durable) plan.durable = plan.memory;
  plan.memory = measured.has_memory ? std::min(plan.memory, plan.durable) : plan.durable;
  plan.durable = (plan.durable + plan.memory - 1) / plan.memory * plan.memory;
  return plan;
}

}  // namespace pelton::decide::checkpoint
