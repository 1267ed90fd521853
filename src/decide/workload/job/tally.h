// SPDX-License-Identifier: Apache-2.0
// What a Job's pods and its recorded status add up to. Pure.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "decide/workload/job/failure.h"
#include "decide/workload/job/pods.h"

namespace pelton::decide::workload {

struct JobTally {
  int64_t active = 0, ready = 0, terminating = 0;
  int64_t succeeded = 0;  ///< recorded or about to be; Indexed: indexes
  int64_t failed = 0;     ///< likewise
  // The recorded part of the two above, and what is between: see status.uncountedTerminatedPods.
  int64_t counted_succeeded = 0, counted_failed = 0;
  std::set<std::string> uncounted_succeeded, uncounted_failed;  ///< uids
  std::set<int64_t> completed_indexes;
  std::set<int64_t> failed_indexes;             ///< backoffLimitPerIndex
  std::optional<std::string> fail_job_message;  ///< podFailurePolicy says FailJob
  std::vector<const JobPod*> may_go;            ///< recorded: the finalizer can be taken off
};

JobTally tally_job(const base::Json& job, const std::vector<JobPod>& pods);

/// How many pods of the index failed so far, by the newest pod's annotation and end.
int64_t failures_of_index(const base::Json& job, const std::vector<JobPod>& pods, int64_t index);

}  // namespace pelton::decide::workload
