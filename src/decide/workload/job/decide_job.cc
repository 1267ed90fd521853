// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/job/decide_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "api/object.h"
#include "decide/workload/job/finish.h"
#include "decide/workload/job/tally.h"

namespace pelton::decide::workload {
namespace {

using base::Duration;
using base::Instant;
using base::Json;

bool is_suspended(const Json& job) {
  return job["spec"]["suspend"].as_bool();
}

/// One pass over one Job.
class Pass {
 public:
  Pass(const JobObserved& observed, const JobOptions& options, Instant now)
      : job_(*observed.job),
        options_(options),
        now_(now),
        pods_(observe_job_pods(observed)),
        tally_(tally_job(job_, pods_)) {}

  Decision run() {
    if (is_finished_job(job_)) {
      release(tally_.may_go);
      clean_up();
      return std::move(out_);
    }
    const std::optional<JobFinish> finish = find_finish(job_, pods_, tally_, now_);
    write_status(finish);
    release(tally_.may_go);
    if (finish) {
      for (const JobPod& pod : pods_) {
        if (pod.is_active) remove(pod, "the Job has ended: " + finish->reason);
      }
      out_.why = "waits until its pods have ended: " + finish->reason;
    } else if (!api::is_being_deleted(job_)) {
      manage();
    }
    look_again_at_deadline();
    return std::move(out_);
  }

 private:
  /// After the end: nothing may run on, nothing is counted any more, and time may delete the Job.
  void clean_up() {
    const std::set<const JobPod*> released(tally_.may_go.begin(), tally_.may_go.end());
    for (const JobPod& pod : pods_) {
      if (pod.is_tracked && (pod.has_failed || pod.has_succeeded) && !released.contains(&pod)) {
        out_.update(without_finalizer(*pod.pod, kJobTrackingFinalizer), "its Job has ended");
      }
      if (pod.is_active) retire(pod, "its Job has ended");
    }
    const Json& ttl = job_["spec"]["ttlSecondsAfterFinished"];
    if (!ttl.is_int() || api::is_being_deleted(job_)) return;
    const Instant end = finish_time(job_) + Duration::seconds(ttl.as_int());
    if (now_ < end) {
      out_.look_again_in(end - now_);
      return;
    }
    Action& action = out_.remove(job_, "ttlSecondsAfterFinished is over");
    action.propagation = "Foreground";
    action.resource_version = api::resource_version_of(job_);
  }

  void write_status(const std::optional<JobFinish>& finish) {
    Json next = job_;
    const std::vector<EventNote> notes = apply_job_status(next, tally_, finish, now_);
    if (next["status"] == job_["status"]) return;
    out_.update_status(std::move(next), "the Job's pods or spec have changed");
    for (const EventNote& event : notes) {
      out_.note(job_, event.type, event.reason, event.message);
    }
  }

  void release(const std::vector<const JobPod*>& pods) {
    for (const JobPod* pod : pods) {
      out_.update(without_finalizer(*pod->pod, kJobTrackingFinalizer),
                  "the Job's status has recorded how this pod ended");
    }
  }

  void remove(const JobPod& pod, const std::string& why) {
    out_.remove(*pod.pod, why);
    out_.note(job_, "Normal", "SuccessfulDelete", "Deleted pod: " + pod.name());
  }

  /// Deletes a pod that is not wanted, without counting its end.
  void retire(const JobPod& pod, const std::string& why) {
    if (pod.is_tracked) out_.update(without_finalizer(*pod.pod, kJobTrackingFinalizer), why);
    remove(pod, why);
  }

  /// Brings the number of active pods to what is wanted.
  void manage() {
    std::vector<const JobPod*> active;
    for (const JobPod& pod : pods_) {
      if (!pod.is_active) continue;
      if (is_suspended(job_)) {
        retire(pod, "the Job is suspended");
      } else if (!pod.is_tracked) {
        retire(pod, "nothing would record how this pod ends");
      } else {
        active.push_back(&pod);
      }
    }
    if (is_suspended(job_)) {
      out_.why = "is suspended";
      return;
    }
    retire_unwanted_indexes(active);
    const int64_t want = wanted_active(static_cast<int64_t>(active.size()));
    retire_surplus(active, want);
    const int64_t ending = replaces_only_failed(job_) ? tally_.terminating : 0;
    const int64_t missing = want - static_cast<int64_t>(active.size()) - ending;
    if (missing <= 0) return;
    if (is_indexed(job_)) {
      create_indexed(active, missing);
    } else {
      create_plain(missing);
    }
  }

  int64_t wanted_active(int64_t active) const {
    const int64_t parallelism = job_["spec"]["parallelism"].as_int(1);
    const Json& completions = job_["spec"]["completions"];
    // Without completions the first success means that the work is done: nothing new is begun.
    if (!completions.is_int()) return tally_.succeeded > 0 ? active : parallelism;
    return std::clamp<int64_t>(completions.as_int() - tally_.succeeded, 0, parallelism);
  }

  /// Of several active pods of one index the first stays; an index done, failed or out of range
  /// needs none.
  void retire_unwanted_indexes(std::vector<const JobPod*>& active) {
    if (!is_indexed(job_)) return;
    std::set<int64_t> seen;
    const int64_t completions = job_["spec"]["completions"].as_int();
    std::erase_if(active, [&](const JobPod* pod) {
      const bool is_wanted = pod->index >= 0 && pod->index < completions &&
                             !tally_.completed_indexes.contains(pod->index) &&
                             !tally_.failed_indexes.contains(pod->index) &&
                             seen.insert(pod->index).second;
      if (!is_wanted) retire(*pod, "its index needs no pod, or has one");
      return !is_wanted;
    });
  }

  void retire_surplus(std::vector<const JobPod*>& active, int64_t want) {
    if (static_cast<int64_t>(active.size()) <= want) return;
    std::stable_sort(active.begin(), active.end(), [](const JobPod* a, const JobPod* b) {
      const auto rank = [](const JobPod* p) {
        const bool is_bound = !(*p->pod)["spec"]["nodeName"].as_string().empty();
        return std::make_tuple(!is_bound, !p->is_ready, p->index, p->attempt);
      };
      return rank(a) < rank(b);
    });
    while (static_cast<int64_t>(active.size()) > want) {
      retire(*active.back(), "more pods run than parallelism and completions ask for");
      active.pop_back();
    }
  }

  void create_indexed(const std::vector<const JobPod*>& active, int64_t missing) {
    const bool per_index = job_["spec"].contains("backoffLimitPerIndex");
    if (!per_index && wait_for_backoff(-1)) return;
    std::set<int64_t> taken = tally_.completed_indexes;
    taken.insert(tally_.failed_indexes.begin(), tally_.failed_indexes.end());
    for (const JobPod* pod : active) taken.insert(pod->index);
    for (const JobPod& pod : pods_) {
      if (pod.is_terminating && replaces_only_failed(job_)) taken.insert(pod.index);
    }
    const int64_t completions = job_["spec"]["completions"].as_int();
    for (int64_t index = 0; index < completions && missing > 0; ++index) {
      if (taken.contains(index)) continue;
      --missing;
      if (per_index && wait_for_backoff(index)) continue;
      create(index, next_attempt(index), per_index ? failures_of_index(job_, pods_, index) : -1);
    }
  }

  void create_plain(int64_t missing) {
    if (wait_for_backoff(-1)) return;
    const int64_t first = next_attempt(-1);
    for (int64_t i = 0; i < missing; ++i) create(-1, first + i, -1);
  }

  bool wait_for_backoff(int64_t index) {
    const Duration wait = remaining_backoff(pods_, options_, now_, index);
    if (wait <= Duration()) return false;
    out_.look_again_in(wait);
    out_.why = fmt::format("waits {:.1f} s before it replaces failed pods", wait.to_seconds());
    return true;
  }

  /// One more than the newest that is seen. Where none is left to see, the failures so far keep
  /// the name from being one that people have already met.
  int64_t next_attempt(int64_t index) const {
    int64_t newest = -1;
    for (const JobPod& pod : pods_) {
      if (pod.index == index) newest = std::max(newest, pod.attempt);
    }
    return newest < 0 ? tally_.failed : newest + 1;
  }

  void create(int64_t index, int64_t attempt, int64_t index_failures) {
    Json pod = make_job_pod(job_, index, attempt, index_failures);
    const std::string name = api::name_of(pod);
    out_.create(std::move(pod), index < 0 ? "fewer pods are active than wanted"
                                          : fmt::format("index {} has no active pod", index));
    out_.note(job_, "Normal", "SuccessfulCreate", "Created pod: " + name);
  }

  void look_again_at_deadline() {
    const Json& deadline = job_["spec"]["activeDeadlineSeconds"];
    if (!deadline.is_int() || is_suspended(job_)) return;
    auto start = base::parse_time(job_["status"]["startTime"].as_string());
    if (!start.ok()) return;
    const Duration left = *start + Duration::seconds(deadline.as_int()) - now_;
    if (left > Duration()) out_.look_again_in(left);
  }

  const Json& job_;
  const JobOptions& options_;
  const Instant now_;
  const std::vector<JobPod> pods_;
  const JobTally tally_;
  Decision out_;
};

}  // namespace

Decision decide_job(const JobObserved& observed, const JobOptions& options, Instant now) {
  const std::string& manager = (*observed.job)["spec"]["managedBy"].as_string();
  if (!manager.empty() && manager != "kubernetes.io/job-controller") return {};
  return Pass(observed, options, now).run();
}

Decision decide_orphaned_job_pods(const std::vector<const Json*>& pods) {
  Decision out;
  for (const Json* pod : pods) {
    if (!api::has_finalizer(*pod, kJobTrackingFinalizer)) continue;
    out.update(without_finalizer(*pod, kJobTrackingFinalizer), "the pod's Job is gone");
  }
  return out;
}

}  // namespace pelton::decide::workload
