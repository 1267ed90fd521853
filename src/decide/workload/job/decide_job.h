// SPDX-License-Identifier: Apache-2.0
// One look at a Job: which pods to make and to delete, and what its status says.
//
// The counts never lose or double a pod: a pod holds a finalizer until the Job's durable status
// names it (uncountedTerminatedPods, or its index in completedIndexes), and a name moves from there
// into the counts only once the pods' view shows the finalizer gone. The end has two steps:
// FailureTarget or SuccessCriteriaMet first, while pods still end; then Failed or Complete.
#pragma once
#include "base/time.h"
#include "decide/workload/decision.h"
#include "decide/workload/job/observed.h"

namespace pelton::decide::workload {

/// Pure. `now` serves startTime, deadlines, back-off and ttlSecondsAfterFinished.
Decision decide_job(const JobObserved& observed, const JobOptions& options, base::Instant now);

/// For pods that hold a Job's finalizer while their Job is gone: lets them go.
Decision decide_orphaned_job_pods(const std::vector<const base::Json*>& pods);

}  // namespace pelton::decide::workload
