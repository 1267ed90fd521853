// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/job/tally.h"

#include "api/object.h"
#include "base/strings.h"
#include "decide/workload/job/indexes.h"

namespace pelton::decide::workload {
namespace {

using base::Json;
using Uids = std::set<std::string>;

/// Splits the uids that the status names: those whose pod has let go of its finalizer (or is gone)
/// may be counted; the others stay named.
struct Named {
  Uids still_held;
  int64_t counted = 0;
};

Named split_named(const Json& list, const Uids& tracked) {
  Named named;
  for (const Json& uid : list.items()) {
    if (tracked.contains(uid.as_string())) {
      named.still_held.insert(uid.as_string());
    } else {
      ++named.counted;
    }
  }
  return named;
}

class Tallier {
 public:
  Tallier(const Json& job, const std::vector<JobPod>& pods)
      : job_(job), status_(job["status"]), pods_(pods), indexed_(is_indexed(job)) {}

  JobTally run() {
    Uids tracked;
    for (const JobPod& pod : pods_) {
      if (pod.is_tracked) tracked.insert(pod.uid());
    }
    const Json& uncounted = status_["uncountedTerminatedPods"];
    Named failed = split_named(uncounted["failed"], tracked);
    Named succeeded = split_named(uncounted["succeeded"], tracked);
    recorded_failed_ = failed.still_held;
    recorded_succeeded_ = succeeded.still_held;
    out_.uncounted_failed = std::move(failed.still_held);
    out_.uncounted_succeeded = std::move(succeeded.still_held);
    out_.counted_failed = status_["failed"].as_int() + failed.counted;
    out_.counted_succeeded = status_["succeeded"].as_int() + succeeded.counted;
    if (indexed_) read_indexes();
    for (const JobPod& pod : pods_) take(pod);
    out_.failed = out_.counted_failed + static_cast<int64_t>(out_.uncounted_failed.size());
    out_.succeeded = out_.counted_succeeded + static_cast<int64_t>(out_.uncounted_succeeded.size());
    if (indexed_) {
      out_.succeeded = out_.counted_succeeded = static_cast<int64_t>(out_.completed_indexes.size());
    }
    return std::move(out_);
  }

 private:
  void read_indexes() {
    const int64_t completions = job_["spec"]["completions"].as_int();
    recorded_indexes_ = parse_indexes(status_["completedIndexes"].as_string(), completions);
    recorded_failed_indexes_ = parse_indexes(status_["failedIndexes"].as_string(), completions);
    out_.completed_indexes = recorded_indexes_;
    out_.failed_indexes = recorded_failed_indexes_;
    if (!job_["spec"].contains("backoffLimitPerIndex")) return;
    const int64_t limit = job_["spec"]["backoffLimitPerIndex"].as_int();
    int64_t last = -1;
    for (const JobPod& pod : pods_) {
      if (pod.index == last || pod.index < 0) continue;
      last = pod.index;
      if (failures_of_index(job_, pods_, last) > limit) out_.failed_indexes.insert(last);
    }
  }

  void take(const JobPod& pod) {
    out_.active += pod.is_active ? 1 : 0;
    out_.ready += pod.is_ready ? 1 : 0;
    out_.terminating += pod.is_terminating ? 1 : 0;
    if (pod.has_succeeded) take_success(pod);
    if (pod.has_failed && pod.is_tracked) take_failure(pod);
  }

  void take_success(const JobPod& pod) {
    if (indexed_) {
      const bool is_wanted = pod.index >= 0 && pod.index < job_["spec"]["completions"].as_int();
      if (is_wanted) out_.completed_indexes.insert(pod.index);
      const bool is_recorded = !is_wanted || recorded_indexes_.contains(pod.index);
      if (pod.is_tracked && is_recorded) out_.may_go.push_back(&pod);
      return;
    }
    if (!pod.is_tracked) return;
    if (recorded_succeeded_.contains(pod.uid()) || recorded_failed_.contains(pod.uid())) {
      out_.may_go.push_back(&pod);
    } else {
      out_.uncounted_succeeded.insert(pod.uid());
    }
  }

  void take_failure(const JobPod& pod) {
    const FailureVerdict verdict = judge_failed_pod(job_, *pod.pod);
    if (verdict.action == FailureVerdict::Action::Ignore) {
      out_.may_go.push_back(&pod);
      return;
    }
    if (verdict.action == FailureVerdict::Action::FailJob && !out_.fail_job_message) {
      out_.fail_job_message = verdict.message;
    }
    if (verdict.action == FailureVerdict::Action::FailIndex && pod.index >= 0) {
      out_.failed_indexes.insert(pod.index);
    }
    if (!recorded_failed_.contains(pod.uid())) {
      out_.uncounted_failed.insert(pod.uid());
    } else if (!keeps_the_index_count(pod)) {
      out_.may_go.push_back(&pod);
    }
  }

  /// With backoffLimitPerIndex the number of an index's failures stands on its newest pod alone,
  /// so that one stays until its successor is seen, or none will come.
  bool keeps_the_index_count(const JobPod& pod) const {
    if (!job_["spec"].contains("backoffLimitPerIndex") || pod.index < 0) return false;
    if (recorded_failed_indexes_.contains(pod.index)) return false;
    if (recorded_indexes_.contains(pod.index)) return false;
    if (api::find_condition(job_, "FailureTarget") != nullptr) return false;
    if (api::find_condition(job_, "SuccessCriteriaMet") != nullptr) return false;
    if (api::is_being_deleted(job_)) return false;
    for (const JobPod& other : pods_) {
      if (other.index == pod.index && other.attempt > pod.attempt) return false;
    }
    return true;
  }

  const Json& job_;
  const Json& status_;
  const std::vector<JobPod>& pods_;
  const bool indexed_;
  Uids recorded_failed_, recorded_succeeded_;
  std::set<int64_t> recorded_indexes_, recorded_failed_indexes_;
  JobTally out_;
};

}  // namespace

JobTally tally_job(const Json& job, const std::vector<JobPod>& pods) {
  return Tallier(job, pods).run();
}

int64_t failures_of_index(const Json& job, const std::vector<JobPod>& pods, int64_t index) {
  const JobPod* newest = nullptr;
  for (const JobPod& pod : pods) {
    if (pod.index == index) newest = &pod;
  }
  if (newest == nullptr) return 0;
  auto before = base::parse_int(api::annotation_of(*newest->pod, kIndexFailureCount));
  const bool counts = newest->has_failed &&
                      judge_failed_pod(job, *newest->pod).action != FailureVerdict::Action::Ignore;
  return (before.ok() ? *before : 0) + (counts ? 1 : 0);
}

}  // namespace pelton::decide::workload
