// SPDX-License-Identifier: Apache-2.0
// How often to save.
//
// A save costs `stall`; a failure costs half an interval of work on average. J. T. Daly, "A higher
// order estimate of the optimum checkpoint interval for restart dumps", Future Generation Computer
// Systems 22 (2006), gives the interval that loses least (equation 37), which is J. W. Young's
// sqrt(2 * stall * MTBF) (CACM 17, 1974) where saves are cheap.
#pragma once
#include <cstdint>

#include "base/time.h"
#include "decide/checkpoint/observed_failures.h"

namespace pelton::decide::checkpoint {

/// The prior: 4.2 failures per 1,000 node-days (584 faults of 400 nodes in 348 days: the
/// InfiniteHBD trace; published rates lie between 2.3 and 6.5). It weighs as one failure.
inline constexpr double kPriorFailures = 1.0;
inline constexpr double kPriorNodeDays = 1000.0 / 4.2;

/// What is known of the failures that only this tier, of those the job has, survives: of a process
/// for the node's memory, of a node for the durable one.
struct Failures {
  double nodes = 1;
  double observed_node_days = 0;
  double observed_failures = 0;
};
/// Mean time between such failures of the whole job, prior and observation together.
base::Duration mean_time_between(const Failures& failures);

struct SaveCost {
  base::Duration stall;  ///< the step waits
  base::Duration drain;  ///< until the save has reached the tier: the next cannot begin before
};
/// From the end of one save to the beginning of the next.
base::Duration decide_interval(const SaveCost& cost, base::Duration mean_time_between);
/// The same in steps; at least 1.
int64_t interval_in_steps(base::Duration interval, base::Duration step);

/// What a rank has measured, and what the job has.
struct Measured {
  base::Duration stall;  ///< of one save
  base::Duration drain;  ///< of one durable save; zero: not known yet
  base::Duration step;   ///< of training; zero: not known yet
  double nodes = 1;
  bool has_memory = false, has_durable = true;
  ObservedFailures observed;  ///< until now
};
/// Steps from one save to the next, at least 1; durable is a multiple of memory. Each tier's are as
/// frequent as is best for the failures that it is needed for: memory's for those that it survives,
/// durable ones for the others, and for all where there is no memory. A durable save is one to
/// memory too. A tier that is not there follows the other. Of how failures divide nothing is known
/// beforehand: the prior goes for either, until the job has seen more.
struct SavePlan {
  int64_t memory = 1, durable = 1;
  bool operator==(const SavePlan&) const = default;
};
SavePlan plan_saves(const Measured& measured);

}  // namespace pelton::decide::checkpoint
