// SPDX-License-Identifier: Apache-2.0
// When failed pods fail a Job, and how long a replacement waits. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "decide/workload/job/pods.h"

namespace pelton::decide::workload {

/// What spec.podFailurePolicy says about one failed pod.
struct FailureVerdict {
  enum class Action : uint8_t { Count, Ignore, FailJob, FailIndex };
  Action action = Action::Count;  ///< where no rule matches
  std::string message;            ///< of FailJob and FailIndex, in upstream's words
};
FailureVerdict judge_failed_pod(const base::Json& job, const base::Json& pod);

/// Whether containers restarted in place (restartPolicy OnFailure) use up the backoffLimit.
bool restarts_exceed_backoff_limit(const base::Json& job, const std::vector<JobPod>& pods);

/// How long from `now` until failed pods are replaced: base * 2^(failures - 1) after the last
/// failure, over the failures since the last success. Zero: at once. `index`: of that index's pods
/// alone; -1: of all.
base::Duration remaining_backoff(const std::vector<JobPod>& pods, const JobOptions& options,
                                 base::Instant now, int64_t index = -1);

}  // namespace pelton::decide::workload
