// SPDX-License-Identifier: Apache-2.0
// What each rung takes, in seconds: measured in this job's earlier generations, else a prior. Pure.
#pragma once
#include <string>

#include "base/time.h"
#include "decide/recovery/job_record.h"

namespace pelton::decide::recovery {

struct Seconds {
  double value = 0;
  std::string source;  ///< "median of 3 measured", "prior: …"
};

/// From a failure to the end of the first step after it: the median of the last ones that began by
/// this rung. Steps that had to be done again are no part of it: they are lost whichever rung is
/// taken, and what was measured would lose to every prior. `is_warm`: where a pod comes in, it has
/// a parked parent.
Seconds recovery_time(const JobRecord& record, Rung rung, bool is_warm);

/// Until a pod that is missing is back and the job steps: as it was in this job's earlier waits.
/// `needs_machine`: one that was asked for has to come first.
Seconds waiting_time(const JobRecord& record, bool needs_machine);

/// Until a machine that failed is back.
Seconds repair_time();

/// Between the ends of two generations of this job; a prior by the number of nodes where there are
/// too few. It is for how long a decision may be expected to hold: at least as long again as the
/// present generation has run (`calm`), for failures that came quickly say less the longer it does.
Seconds time_between_failures(const JobRecord& record, size_t nodes, base::Duration calm);

}  // namespace pelton::decide::recovery
