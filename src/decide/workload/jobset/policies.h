// SPDX-License-Identifier: Apache-2.0
// A JobSet's policies: when it is started, when it has succeeded, and what a failed Job means.
// Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/time.h"

namespace pelton::decide::workload {

/// The Jobs of one JobSet, by what they are to it.
struct ChildJobs {
  std::vector<const base::Json*> previous;  ///< of an earlier restart attempt
  std::vector<const base::Json*> active, successful, failed;
};

/// Sorts the Jobs by name into their groups. InvalidArgument: a restart-attempt label is no number.
base::Result<ChildJobs> classify_jobs(const base::Json& jobset,
                                      const std::vector<const base::Json*>& jobs);

/// One entry per replicated job, sorted by name descending, as upstream writes it.
base::Json replicated_jobs_status(const base::Json& jobset, const ChildJobs& jobs);
/// ready + succeeded + failed == replicas, in the entry of that replicated job.
bool is_started(const base::Json& status_list, const base::Json& replicated_job);
/// Every dependsOn is met (Ready: started; Complete: all succeeded).
bool are_dependencies_met(const base::Json& jobset, const base::Json& status_list,
                          const base::Json& replicated_job);
bool is_in_order(const base::Json& jobset);

/// Enough Jobs have succeeded; ask only where at least one has and none has failed.
bool is_success_policy_met(const base::Json& jobset, const ChildJobs& jobs);

struct JobSetFailure {
  bool is_restart = false;   ///< else the JobSet fails
  bool counts = false;       ///< of a restart: towards maxRestarts
  std::string reason;        ///< of the condition Failed or RestartingJobSet
  std::string message;       ///< with the first failed job
  std::string event_reason;  ///< of a restart: "RestartJobSetFailurePolicyAction"
};
/// What the failurePolicy says; there is at least one failed Job.
JobSetFailure judge_failed_jobs(const base::Json& jobset,
                                const std::vector<const base::Json*>& failed);

}  // namespace pelton::decide::workload
