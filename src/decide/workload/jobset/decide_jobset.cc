// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/jobset/decide_jobset.h"

#include <algorithm>
#include <set>

#include "api/object.h"
#include "decide/workload/jobset/children.h"
#include "decide/workload/jobset/policies.h"
#include "decide/workload/jobset/resume.h"

namespace pelton::decide::workload {
namespace {

using base::Duration;
using base::Instant;
using base::Json;

bool is_suspended(const Json& object) {
  return object["spec"]["suspend"].as_bool();
}

/// One pass over one JobSet, in upstream's order. Changes of the status are collected in `next_`
/// and written first, so that a stale view of the JobSet ends the plan before anything else.
class Pass {
 public:
  Pass(const JobSetObserved& observed, Instant now)
      : observed_(observed), jobset_(*observed.jobset), now_(now), next_(jobset_) {}

  Decision run() {
    auto classified = classify_jobs(jobset_, observed_.jobs);
    if (!classified.ok()) {
      out_.note(jobset_, "Warning", "InvalidJobLabel", classified.error().message());
      out_.why = classified.error().message();
      return std::move(out_);
    }
    jobs_ = std::move(*classified);
    set_replicated_jobs_status();
    decide();
    Decision result;
    if (next_["status"] != jobset_["status"]) {
      result.update_status(std::move(next_), "the Jobs or the spec have changed");
      for (EventNote& event : events_) {
        result.note(jobset_, event.type, event.reason, event.message);
      }
    }
    for (Action& action : out_.actions) result.actions.push_back(std::move(action));
    result.look_again = out_.look_again;
    result.why = out_.why;
    return result;
  }

 private:
  void decide() {
    if (is_finished()) {
      for (const Json* job : jobs_.active) remove_job(*job, "the JobSet has finished");
      apply_ttl();
      return;
    }
    for (const Json* job : jobs_.previous) remove_job(*job, "is of an earlier restart attempt");
    if (!is_suspended(jobset_) && are_all_ready()) {
      end_restarting("JobsReady", "all jobs are ready");
    }
    if (!jobs_.failed.empty()) {
      apply_failure_policy();
      return;
    }
    if (!jobs_.successful.empty() && is_success_policy_met(jobset_, jobs_)) {
      const std::string message = "jobset completed successfully";
      set_condition({"Completed", "True", "AllJobsCompleted", message}, "Normal");
      next_.child("status").set("terminalState", "Completed");
      end_restarting("JobSetCompleted", message);
      return;
    }
    if (has_dns_hostnames(jobset_) && !observed_.has_service) {
      out_.create(make_headless_service(jobset_), "gives the pods names");
    }
    create_missing_jobs();
    if (is_suspended(jobset_)) {
      suspend_jobs();
    } else {
      resume_jobs();
    }
  }

  bool is_finished() const {
    return api::is_condition_true(jobset_, "Completed") ||
           api::is_condition_true(jobset_, "Failed");
  }

  const Json& statuses() const { return next_["status"]["replicatedJobsStatus"]; }

  void set_replicated_jobs_status() {
    Json list = replicated_jobs_status(jobset_, jobs_);
    // Conditions of a new JobSet start from counters that can be read: restarts is never absent.
    Json& status = next_.child("status");
    if (!status.contains("restarts")) status.set("restarts", 0);
    if (status["replicatedJobsStatus"] != list) status.set("replicatedJobsStatus", std::move(list));
  }

  bool are_all_ready() const {
    int64_t count = 0;
    for (const Json& entry : statuses().items()) {
      count += entry["ready"].as_int() + entry["succeeded"].as_int();
    }
    return count == total_replicas(jobset_);
  }

  /// A False condition is never added, only changed; a change is an event.
  void set_condition(const api::Condition& condition, const char* event_type) {
    const Json* old = api::find_condition(next_, condition.type);
    if (condition.status == "False" && old == nullptr) return;
    if (!api::set_condition(next_, condition, now_)) return;
    events_.push_back({nullptr, event_type, condition.reason, condition.message});
  }

  void end_restarting(const std::string& reason, const std::string& message) {
    if (!api::is_condition_true(next_, "RestartingJobSet")) return;
    set_condition({"RestartingJobSet", "False", reason, message}, "Normal");
  }

  void remove_job(const Json& job, const std::string& why) {
    if (api::is_being_deleted(job)) return;
    out_.remove(job, why).propagation = "Foreground";
  }

  void apply_ttl() {
    const Json& ttl = jobset_["spec"]["ttlSecondsAfterFinished"];
    if (!ttl.is_int()) return;
    const char* type = api::is_condition_true(jobset_, "Completed") ? "Completed" : "Failed";
    const Json& condition = *api::find_condition(jobset_, type);
    auto ended = base::parse_time(condition["lastTransitionTime"].as_string());
    if (!ended.ok()) return;
    const Instant end = *ended + Duration::seconds(ttl.as_int());
    if (now_ < end) {
      out_.look_again_in(end - now_);
      return;
    }
    Action& action = out_.remove(jobset_, "ttlSecondsAfterFinished is over");
    action.propagation = "Foreground";
    action.resource_version = api::resource_version_of(jobset_);
  }

  void apply_failure_policy() {
    const JobSetFailure failure = judge_failed_jobs(jobset_, jobs_.failed);
    Json& status = next_.child("status");
    if (!failure.is_restart) {
      set_condition({"Failed", "True", failure.reason, failure.message}, "Warning");
      next_.child("status").set("terminalState", "Failed");
      end_restarting("JobSetFailed", "jobset failed");
      return;
    }
    status.set("restarts", status["restarts"].as_int() + 1);
    if (failure.counts) {
      status.set("restartsCountTowardsMax", status["restartsCountTowardsMax"].as_int() + 1);
    }
    set_condition({"RestartingJobSet", "True", failure.reason, failure.message}, "Warning");
    events_.push_back({nullptr, "Warning", failure.event_reason, failure.message});
    out_.why = failure.message;
  }

  void create_missing_jobs() {
    const bool is_blocking =
        jobset_["spec"]["failurePolicy"]["restartStrategy"].as_string() == "BlockingRecreate";
    if (is_blocking && !jobs_.previous.empty()) {
      out_.why = "waits until all Jobs of the earlier attempt are gone (BlockingRecreate)";
      return;
    }
    std::set<std::string> taken;
    for (const Json* job : observed_.jobs) taken.insert(api::name_of(*job));
    const bool in_order = is_in_order(jobset_) && !is_suspended(jobset_);
    const auto& replicated_jobs = jobset_["spec"]["replicatedJobs"].items();
    for (size_t i = 0; i < replicated_jobs.size(); ++i) {
      const Json& replicated_job = replicated_jobs[i];
      if (in_order && is_started(statuses(), replicated_job)) continue;
      if (!are_dependencies_met(jobset_, statuses(), replicated_job)) {
        out_.why = replicated_job["name"].as_string() + " waits for what it depends on";
        continue;
      }
      create_jobs_of(i, taken);
      if (in_order) {
        set_startup(true);
        out_.why = "waits until " + replicated_job["name"].as_string() + " has started (InOrder)";
        return;
      }
    }
    if (in_order) set_startup(false);
  }

  void create_jobs_of(size_t position, const std::set<std::string>& taken) {
    const Json& replicated_job = jobset_["spec"]["replicatedJobs"][position];
    for (int64_t index = 0; index < replicas_of(replicated_job); ++index) {
      const std::string name = child_job_name(jobset_, replicated_job["name"].as_string(), index);
      if (taken.contains(name)) continue;
      if (observed_.foreign_jobs.contains(name)) {
        out_.why = "Job " + name + " already exists and is not of this JobSet: delete or rename it";
        out_.note(jobset_, "Warning", "JobCreationFailed", out_.why);
        out_.look_again_in(Duration::seconds(10));
        continue;
      }
      out_.create(make_child_job(jobset_, position, index), "is missing");
    }
  }

  /// The two startup conditions exclude each other: only the loser's status flips.
  void set_startup(bool in_progress) {
    const char* type = in_progress ? "StartupPolicyInProgress" : "StartupPolicyCompleted";
    const char* other = in_progress ? "StartupPolicyCompleted" : "StartupPolicyInProgress";
    const char* reason =
        in_progress ? "InOrderStartupPolicyInProgress" : "InOrderStartupPolicyCompleted";
    const char* message = in_progress ? "in order startup policy is in progress"
                                      : "in order startup policy has completed";
    set_condition({type, "True", reason, message}, "Normal");
    if (!api::is_condition_true(next_, other)) return;
    const Json loser = *api::find_condition(next_, other);
    api::set_condition(
        next_, {other, "False", loser["reason"].as_string(), loser["message"].as_string()}, now_);
  }

  void suspend_jobs() {
    for (const Json* job : jobs_.active) {
      if (is_suspended(*job) || api::is_being_deleted(*job)) continue;
      Json next = *job;
      next.child("spec").set("suspend", true);
      out_.update(std::move(next), "the JobSet is suspended");
    }
    set_condition({"Suspended", "True", "SuspendedJobs", "jobset is suspended"}, "Normal");
    end_restarting("JobSetSuspended", "jobset is suspended");
    out_.why = "is suspended";
  }

  void resume_jobs() {
    const bool in_order = is_in_order(jobset_);
    for (const Json& replicated_job : jobset_["spec"]["replicatedJobs"].items()) {
      if (in_order && is_started(statuses(), replicated_job)) continue;
      if (!are_dependencies_met(jobset_, statuses(), replicated_job)) continue;
      for (const Json* job : jobs_.active) {
        if (api::label_of(*job, kReplicatedJobName) != replicated_job["name"].as_string()) continue;
        if (is_suspended(*job) && !api::is_being_deleted(*job)) {
          resume_job(*job, replicated_job["template"]["spec"]["template"], out_);
        }
      }
      if (in_order) return;
    }
    set_condition({"Suspended", "False", "ResumeJobs", "jobset is resumed"}, "Normal");
  }

  const JobSetObserved& observed_;
  const Json& jobset_;
  const Instant now_;
  Json next_;
  ChildJobs jobs_;
  std::vector<EventNote> events_;
  Decision out_;
};

}  // namespace

Decision decide_jobset(const JobSetObserved& observed, Instant now) {
  const Json& jobset = *observed.jobset;
  const std::string& manager = jobset["spec"]["managedBy"].as_string();
  const bool is_ours = manager.empty() || manager == "jobset.sigs.k8s.io/jobset-controller";
  if (api::is_being_deleted(jobset) || !is_ours) return {};
  return Pass(observed, now).run();
}

}  // namespace pelton::decide::workload
