// SPDX-License-Identifier: Apache-2.0
// From what a workload decision says to commands of the kit.
#pragma once
#include "control/plan.h"
#include "decide/workload/decision.h"

namespace pelton::control {

/// The same actions in the same order.
Plan to_plan(decide::workload::Decision decision);
/// Appends what a second decision about the same key wants.
void append(Plan& plan, decide::workload::Decision decision);

}  // namespace pelton::control
