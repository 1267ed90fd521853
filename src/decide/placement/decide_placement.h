// SPDX-License-Identifier: Apache-2.0
// Which pod goes to which node.
//
//   1. Work is ordered: what a recorded plan must finish, then by priority, age and name. A unit is
//      one pod, or the pods of a gang's Jobs that have not started: those wait until all of them
//      exist and are then placed all or none. A pod of a Job that has started is a replacement and
//      joins alone.
//   2. Filters per shape and node: readiness, spec.unschedulable, taints, node selector, required
//      node affinity; then room.
//   3. Among nodes that remain: the one where the fewest accelerators are left over (pods without
//      accelerators: where the fewest lie idle), then the fewest pods of the same group, then the
//      least used cpu, then the name.
//   4. What is placed takes its room at once; what is not leaves no trace, and says why.
// A gang of different shapes which that greedy order cannot place is searched for exhaustively,
// within a bound. Pure; the same observation gives the same decision.
#pragma once
#include "decide/placement/decision.h"
#include "decide/placement/observed.h"

namespace pelton::decide::placement {

Decision decide_placement(const Observed& observed);

}  // namespace pelton::decide::placement
