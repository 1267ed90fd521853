// SPDX-License-Identifier: Apache-2.0
// One look at a JobSet: its Jobs and its Service are made, deleted, suspended; its status follows.
//
// Children have fixed names, and a restart is nothing but status.restarts + 1: Jobs that bear an
// older number are previous, are deleted, and their names used again. So the counters live in one
// durable place, and a stale view can at worst make a Job of an older attempt, which goes.
#pragma once
#include "base/time.h"
#include "decide/workload/decision.h"
#include "decide/workload/jobset/observed.h"

namespace pelton::decide::workload {

/// Pure. `now` serves condition times and ttlSecondsAfterFinished.
Decision decide_jobset(const JobSetObserved& observed, base::Instant now);

}  // namespace pelton::decide::workload
