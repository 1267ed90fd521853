// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/job/finish.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/object.h"
#include "decide/workload/job/failure.h"
#include "decide/workload/job/indexes.h"

namespace pelton::decide::workload {
namespace {

using base::Instant;
using base::Json;

std::optional<JobFinish> recorded_finish(const Json& job) {
  for (const char* type : {"FailureTarget", "SuccessCriteriaMet"}) {
    if (!api::is_condition_true(job, type)) continue;
    const Json& condition = *api::find_condition(job, type);
    return JobFinish{type == std::string_view("SuccessCriteriaMet"),
                     condition["reason"].as_string(), condition["message"].as_string()};
  }
  return std::nullopt;
}

bool is_past_deadline(const Json& job, Instant now) {
  const Json& deadline = job["spec"]["activeDeadlineSeconds"];
  auto start = base::parse_time(job["status"]["startTime"].as_string());
  if (!deadline.is_int() || !start.ok() || job["spec"]["suspend"].as_bool()) return false;
  return now - *start >= base::Duration::seconds(deadline.as_int());
}

std::optional<JobFinish> find_failure(const Json& job, const std::vector<JobPod>& pods,
                                      const JobTally& tally, Instant now) {
  if (tally.fail_job_message) return JobFinish{false, "PodFailurePolicy", *tally.fail_job_message};
  if (tally.failed > job["spec"]["backoffLimit"].as_int(6) ||
      restarts_exceed_backoff_limit(job, pods)) {
    return JobFinish{false, "BackoffLimitExceeded", "Job has reached the specified backoff limit"};
  }
  if (is_past_deadline(job, now)) {
    return JobFinish{false, "DeadlineExceeded", "Job was active longer than specified deadline"};
  }
  if (!job["spec"].contains("backoffLimitPerIndex")) return std::nullopt;
  const auto failed = static_cast<int64_t>(tally.failed_indexes.size());
  const Json& max_failed = job["spec"]["maxFailedIndexes"];
  if (max_failed.is_int() && failed > max_failed.as_int()) {
    return JobFinish{false, "MaxFailedIndexesExceeded",
                     "Job has exceeded the specified maximal number of failed indexes"};
  }
  if (failed > 0 && failed + tally.succeeded >= job["spec"]["completions"].as_int()) {
    return JobFinish{false, "FailedIndexes", "Job has failed indexes"};
  }
  return std::nullopt;
}

bool rule_holds(const Json& rule, const Json& job, const JobTally& tally) {
  std::set<int64_t> done = tally.completed_indexes;
  if (rule.contains("succeededIndexes")) {
    const std::set<int64_t> wanted =
        parse_indexes(rule["succeededIndexes"].as_string(), job["spec"]["completions"].as_int());
    std::erase_if(done, [&](int64_t index) { return !wanted.contains(index); });
    if (!rule.contains("succeededCount")) return done.size() == wanted.size();
  }
  return static_cast<int64_t>(done.size()) >= rule["succeededCount"].as_int();
}

std::optional<JobFinish> find_success(const Json& job, const JobTally& tally) {
  const auto& rules = job["spec"]["successPolicy"]["rules"].items();
  for (size_t i = 0; i < rules.size() && is_indexed(job); ++i) {
    if (!rule_holds(rules[i], job, tally)) continue;
    return JobFinish{true, "SuccessPolicy", fmt::format("Matched rules at index {}", i)};
  }
  const Json& completions = job["spec"]["completions"];
  const bool is_enough =
      completions.is_int() ? tally.succeeded >= completions.as_int() : tally.succeeded > 0;
  if (!is_enough || tally.active > 0 || job["spec"]["suspend"].as_bool()) return std::nullopt;
  return JobFinish{true, "CompletionsReached", "Reached expected number of succeeded pods"};
}

void set_count(Json& status, std::string_view name, int64_t count) {
  if (count == 0) {
    status.erase(name);
  } else {
    status.set(name, count);
  }
}

void set_uids(Json& uncounted, std::string_view name, const std::set<std::string>& uids) {
  if (uids.empty()) return;
  Json list = Json::array();
  for (const std::string& uid : uids) list.push_back(uid);
  uncounted.set(name, std::move(list));
}

void set_counts(Json& status, const Json& job, const JobTally& tally) {
  set_count(status, "active", tally.active);
  set_count(status, "succeeded", tally.counted_succeeded);
  set_count(status, "failed", tally.counted_failed);
  status.set("ready", tally.ready);
  status.set("terminating", tally.terminating);
  Json uncounted = Json::object();
  set_uids(uncounted, "succeeded", tally.uncounted_succeeded);
  set_uids(uncounted, "failed", tally.uncounted_failed);
  status.set("uncountedTerminatedPods", std::move(uncounted));
  if (!is_indexed(job)) return;
  const std::string completed = format_indexes(tally.completed_indexes);
  if (completed.empty()) {
    status.erase("completedIndexes");
  } else {
    status.set("completedIndexes", completed);
  }
  if (job["spec"].contains("backoffLimitPerIndex")) {
    status.set("failedIndexes", format_indexes(tally.failed_indexes));
  }
}

/// The interim condition at once; the final one when nothing runs and everything is counted.
void set_finish(Json& job, const JobTally& tally, const JobFinish& finish, Instant now,
                std::vector<EventNote>& notes) {
  api::set_condition(job,
                     {finish.is_success ? "SuccessCriteriaMet" : "FailureTarget", "True",
                      finish.reason, finish.message},
                     now);
  const bool is_over = tally.active == 0 && tally.terminating == 0 &&
                       tally.uncounted_failed.empty() && tally.uncounted_succeeded.empty();
  if (!is_over) return;
  api::set_condition(
      job, {finish.is_success ? "Complete" : "Failed", "True", finish.reason, finish.message}, now);
  if (finish.is_success) {
    job.child("status").set("completionTime", base::format_time(now));
    notes.push_back({nullptr, "Normal", "Completed", "Job completed"});
  } else {
    notes.push_back({nullptr, "Warning", finish.reason, finish.message});
  }
}

void set_suspension(Json& job, Instant now, std::vector<EventNote>& notes) {
  if (job["spec"]["suspend"].as_bool()) {
    if (api::is_condition_true(job, "Suspended")) return;
    api::set_condition(job, {"Suspended", "True", "JobSuspended", "Job suspended"}, now);
    notes.push_back({nullptr, "Normal", "Suspended", "Job suspended"});
    return;
  }
  if (!api::is_condition_true(job, "Suspended")) return;
  api::set_condition(job, {"Suspended", "False", "JobResumed", "Job resumed"}, now);
  job.child("status").set("startTime", base::format_time(now));
  notes.push_back({nullptr, "Normal", "Resumed", "Job resumed"});
}

}  // namespace

bool is_finished_job(const Json& job) {
  return api::is_condition_true(job, "Complete") || api::is_condition_true(job, "Failed");
}

Instant finish_time(const Json& job) {
  for (const char* type : {"Complete", "Failed"}) {
    if (!api::is_condition_true(job, type)) continue;
    auto at = base::parse_time((*api::find_condition(job, type))["lastTransitionTime"].as_string());
    if (at.ok()) return *at;
  }
  return Instant();
}

std::optional<JobFinish> find_finish(const Json& job, const std::vector<JobPod>& pods,
                                     const JobTally& tally, Instant now) {
  if (auto finish = recorded_finish(job)) return finish;
  if (auto finish = find_failure(job, pods, tally, now)) return finish;
  return find_success(job, tally);
}

std::vector<EventNote> apply_job_status(Json& job, const JobTally& tally,
                                        const std::optional<JobFinish>& finish, Instant now) {
  std::vector<EventNote> notes;
  Json& status = job.child("status");
  if (!status.contains("startTime") && !job["spec"]["suspend"].as_bool()) {
    status.set("startTime", base::format_time(now));
  }
  set_counts(status, job, tally);
  if (finish) {
    set_finish(job, tally, *finish, now, notes);
  } else if (!api::is_being_deleted(job)) {
    set_suspension(job, now, notes);
  }
  return notes;
}

}  // namespace pelton::decide::workload
