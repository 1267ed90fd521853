// SPDX-License-Identifier: Apache-2.0
// The pods of a Job, as facts. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "decide/workload/job/observed.h"

namespace pelton::decide::workload {

/// Held by every pod of a Job until the Job's status has recorded how the pod ended.
inline constexpr std::string_view kJobTrackingFinalizer = "batch.kubernetes.io/job-tracking";
inline constexpr std::string_view kCompletionIndex = "batch.kubernetes.io/job-completion-index";
inline constexpr std::string_view kIndexFailureCount =
    "batch.kubernetes.io/job-index-failure-count";
inline constexpr std::string_view kJobNameLabel = "batch.kubernetes.io/job-name";
inline constexpr std::string_view kControllerUidLabel = "batch.kubernetes.io/controller-uid";
/// Which one of its index's (Indexed) or its Job's (NonIndexed) pods this is, from 0.
inline constexpr std::string_view kAttempt = "pelton.dev/attempt";

bool is_indexed(const base::Json& job);
/// Replace only what has ended, not what is ending: spec.podReplacementPolicy Failed.
bool replaces_only_failed(const base::Json& job);

struct JobPod {
  const base::Json* pod = nullptr;
  int64_t index = -1;  ///< completion index, or -1
  int64_t attempt = 0;
  bool is_tracked = false;      ///< holds the finalizer: its end is not recorded yet
  bool has_succeeded = false;   ///< phase Succeeded
  bool has_failed = false;      ///< phase Failed, or lost (upstream's isPodFailed)
  bool is_terminating = false;  ///< being deleted and its processes may still run
  bool is_active = false;       ///< neither ended nor being deleted
  bool is_ready = false;
  base::Instant ended_at;  ///< where has_succeeded or has_failed; 1970 if unknown
  const std::string& uid() const;
  const std::string& name() const;
};

/// Sorted by index, attempt, name. Indexed: pods without a valid index are taken as index -1.
std::vector<JobPod> observe_job_pods(const JobObserved& observed);

/// The pod of that index and attempt (index -1: NonIndexed), as the Job's template makes it.
/// `index_failures` >= 0 is recorded on it (backoffLimitPerIndex).
base::Json make_job_pod(const base::Json& job, int64_t index, int64_t attempt,
                        int64_t index_failures);
/// "<job>-<index>-<suffix>" or "<job>-<suffix>", the suffix from (uid, index, attempt).
std::string job_pod_name(const base::Json& job, int64_t index, int64_t attempt);

/// The object without that finalizer.
base::Json without_finalizer(base::Json object, std::string_view finalizer);

}  // namespace pelton::decide::workload
