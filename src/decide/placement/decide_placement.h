// SPDX-License-Identifier: Apache-2.0
// Which pod goes to which node.
//
//   1. Work is ordered: what a recorded plan must finish, then by priority, age and name. A unit is
//      one pod, or the pods of a gang's Jobs that have not started: those wait until all of them
//      exist and are then placed all or none. A pod of a Job that has started is a replacement and
//      joins alone.
//   2. Filters per shape and node (filters.h): cordon, taints, readiness, node selector, required
//      node affinity.
//   3. Neighbours (neighbours.h): topology spread, pod anti-affinity in both directions, pod
//      affinity; exclusive and required topology are of these.
//   4. Room, then the score (room.h): untolerated PreferNoSchedule taints, preferred node affinity,
//      preferred pod affinity, ScheduleAnyway spreading; then where the fewest accelerators are
//      left over (pods without accelerators: where the fewest lie idle), the fewest pods of the
//      same group, the least used cpu, the name. Earlier grounds outweigh all later ones.
//   5. A gang is packed into topology domains (pack.h); where that order fails, ways are searched
//      for exhaustively, within a bound (search.h).
//   6. What is placed takes its room at once; what is not leaves no trace, and says why.
// There is no preemption; ports of the host are not looked at. Pure; the same observation gives the
// same decision.
#pragma once
#include "decide/placement/decision.h"
#include "decide/placement/observed.h"

namespace pelton::decide::placement {

Decision decide_placement(const Observed& observed);

}  // namespace pelton::decide::placement
