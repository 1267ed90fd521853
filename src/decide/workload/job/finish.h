// SPDX-License-Identifier: Apache-2.0
// How a Job ends, and what its status says on the way. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "decide/workload/decision.h"
#include "decide/workload/job/tally.h"

namespace pelton::decide::workload {

struct JobFinish {
  bool is_success = false;
  std::string reason;   ///< "BackoffLimitExceeded", "CompletionsReached", …
  std::string message;  ///< in upstream's words
};

/// Complete or Failed is True.
bool is_finished_job(const base::Json& job);
/// When it became so; 1970 where it is not finished.
base::Instant finish_time(const base::Json& job);

/// Whether the Job is about to end (its pods may still run), as recorded or as of now.
std::optional<JobFinish> find_finish(const base::Json& job, const std::vector<JobPod>& pods,
                                     const JobTally& tally, base::Instant now);

/// Writes the status that follows, in place. Returns the events to tell once it is stored.
std::vector<EventNote> apply_job_status(base::Json& job, const JobTally& tally,
                                        const std::optional<JobFinish>& finish, base::Instant now);

}  // namespace pelton::decide::workload
