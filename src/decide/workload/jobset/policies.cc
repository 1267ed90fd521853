// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/jobset/policies.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "api/object.h"
#include "base/strings.h"
#include "decide/workload/jobset/children.h"

namespace pelton::decide::workload {
namespace {

using base::Json;
using Jobs = std::vector<const Json*>;

bool contains(const Json& list, const std::string& text) {
  const auto& items = list.items();
  return std::any_of(items.begin(), items.end(),
                     [&](const Json& item) { return item.as_string() == text; });
}

bool is_ready_job(const Json& job) {
  const Json& parallelism = job["spec"]["parallelism"];
  const Json& completions = job["spec"]["completions"];
  int64_t wanted = parallelism.as_int(1);
  if (completions.is_int()) wanted = std::min(wanted, completions.as_int());
  return job["status"]["ready"].as_int() + job["status"]["succeeded"].as_int() >= wanted;
}

/// (when it failed, name): the oldest failure comes first.
std::pair<std::string, std::string> failure_order(const Json& job) {
  const Json* failed = api::find_condition(job, "Failed");
  const std::string at = failed == nullptr ? "" : (*failed)["lastTransitionTime"].as_string();
  return {at, api::name_of(job)};
}

bool matches_rule(const Json& rule, const Json& job) {
  const Json* failed = api::find_condition(job, "Failed");
  if (failed == nullptr) return false;
  const Json& reasons = rule["onJobFailureReasons"];
  if (!reasons.empty() && !contains(reasons, (*failed)["reason"].as_string())) return false;
  const Json& targets = rule["targetReplicatedJobs"];
  const std::string& parent = api::label_of(job, kReplicatedJobName);
  if (parent.empty() || (!targets.empty() && !contains(targets, parent))) return false;
  const auto& patterns = rule["onJobFailureMessagePatterns"].items();
  return patterns.empty() || std::any_of(patterns.begin(), patterns.end(), [&](const Json& p) {
           const RE2 pattern(p.as_string(), RE2::Quiet);
           return pattern.ok() && RE2::PartialMatch((*failed)["message"].as_string(), pattern);
         });
}

/// The oldest failure among those that the rule is about (a null rule: all), or nullptr.
const Json* first_failure(const Json* rule, const Jobs& failed) {
  const Json* first = nullptr;
  for (const Json* job : failed) {
    if (rule != nullptr && !matches_rule(*rule, *job)) continue;
    if (first == nullptr || failure_order(*job) < failure_order(*first)) first = job;
  }
  return first;
}

}  // namespace

base::Result<ChildJobs> classify_jobs(const Json& jobset, const Jobs& jobs) {
  Jobs sorted = jobs;
  std::sort(sorted.begin(), sorted.end(),
            [](const Json* a, const Json* b) { return api::name_of(*a) < api::name_of(*b); });
  const int64_t restarts = jobset["status"]["restarts"].as_int();
  ChildJobs result;
  for (const Json* job : sorted) {
    auto attempt = base::parse_int(api::label_of(*job, kRestartAttempt));
    if (!attempt.ok()) {
      return base::invalid_argument(
          fmt::format("label {} of Job {} is no number: \"{}\"; set it to the JobSet's "
                      "status.restarts, or delete the Job",
                      kRestartAttempt, api::name_of(*job), api::label_of(*job, kRestartAttempt)));
    }
    if (*attempt < restarts) {
      result.previous.push_back(job);
    } else if (api::is_condition_true(*job, "Failed")) {
      result.failed.push_back(job);
    } else if (api::is_condition_true(*job, "Complete")) {
      result.successful.push_back(job);
    } else {
      result.active.push_back(job);
    }
  }
  return result;
}

Json replicated_jobs_status(const Json& jobset, const ChildJobs& jobs) {
  struct Counts {
    int64_t ready = 0, succeeded = 0, failed = 0, active = 0, suspended = 0;
  };
  std::map<std::string, Counts, std::greater<>> by_name;
  for (const Json& item : jobset["spec"]["replicatedJobs"].items()) {
    by_name[item["name"].as_string()];
  }
  const auto counts_of = [&](const Json& job) -> Counts* {
    auto found = by_name.find(api::label_of(job, kReplicatedJobName));
    return found == by_name.end() ? nullptr : &found->second;
  };
  for (const Json* job : jobs.active) {
    Counts* counts = counts_of(*job);
    if (counts == nullptr) continue;
    counts->ready += is_ready_job(*job) ? 1 : 0;
    counts->active += (*job)["status"]["active"].as_int() > 0 ? 1 : 0;
    counts->suspended += (*job)["spec"]["suspend"].as_bool() ? 1 : 0;
  }
  for (const Json* job : jobs.successful) {
    if (Counts* counts = counts_of(*job)) ++counts->succeeded;
  }
  for (const Json* job : jobs.failed) {
    if (Counts* counts = counts_of(*job)) ++counts->failed;
  }
  Json list = Json::array();
  for (const auto& [name, counts] : by_name) {
    list.push_back(Json::object({{"name", name},
                                 {"ready", counts.ready},
                                 {"succeeded", counts.succeeded},
                                 {"failed", counts.failed},
                                 {"active", counts.active},
                                 {"suspended", counts.suspended}}));
  }
  return list;
}

namespace {

const Json& entry_of(const Json& status_list, const std::string& name) {
  static const Json kNone;
  for (const Json& item : status_list.items()) {
    if (item["name"].as_string() == name) return item;
  }
  return kNone;
}

}  // namespace

bool is_started(const Json& status_list, const Json& replicated_job) {
  const Json& entry = entry_of(status_list, replicated_job["name"].as_string());
  return entry["ready"].as_int() + entry["succeeded"].as_int() + entry["failed"].as_int() ==
         replicas_of(replicated_job);
}

bool are_dependencies_met(const Json& jobset, const Json& status_list, const Json& replicated_job) {
  for (const Json& dependency : replicated_job["dependsOn"].items()) {
    const std::string& name = dependency["name"].as_string();
    const Json& others = jobset["spec"]["replicatedJobs"];
    const Json& other = entry_of(others, name);
    if (other.is_null()) return false;
    const bool is_met =
        dependency["status"].as_string() == "Complete"
            ? entry_of(status_list, name)["succeeded"].as_int() == replicas_of(other)
            : is_started(status_list, other);
    if (!is_met) return false;
  }
  return true;
}

bool is_in_order(const Json& jobset) {
  return jobset["spec"]["startupPolicy"]["startupPolicyOrder"].as_string() == "InOrder";
}

bool is_success_policy_met(const Json& jobset, const ChildJobs& jobs) {
  const Json& policy = jobset["spec"]["successPolicy"];
  const Json& targets = policy["targetReplicatedJobs"];
  const auto is_target = [&](const std::string& name) {
    return targets.empty() || contains(targets, name);
  };
  int64_t expected = 0;
  for (const Json& item : jobset["spec"]["replicatedJobs"].items()) {
    if (is_target(item["name"].as_string())) expected += replicas_of(item);
  }
  if (policy["operator"].as_string() == "Any") expected = 1;
  const auto succeeded = std::count_if(
      jobs.successful.begin(), jobs.successful.end(),
      [&](const Json* job) { return is_target(api::label_of(*job, kReplicatedJobName)); });
  return succeeded >= expected;
}

JobSetFailure judge_failed_jobs(const Json& jobset, const Jobs& failed) {
  const auto with_job = [](std::string message, const Json& job) {
    return fmt::format("{} (first failed job: {})", message, api::name_of(job));
  };
  const Json& policy = jobset["spec"]["failurePolicy"];
  const Json* job = nullptr;
  if (policy.is_null()) {
    job = first_failure(nullptr, failed);
    return {false, false, "FailedJobs",
            with_job("jobset failed due to one or more job failures", *job), ""};
  }
  std::string action = "RestartJobSet";
  std::string restarting = "DefaultFailurePolicy";
  for (const Json& rule : policy["rules"].items()) {
    job = first_failure(&rule, failed);
    if (job == nullptr) continue;
    action = rule["action"].as_string();
    restarting = "FailurePolicy_" + rule["name"].as_string();
    break;
  }
  if (job == nullptr) job = first_failure(nullptr, failed);
  const std::string applying = with_job("applying " + action + " failure policy action", *job);
  if (action == "FailJobSet") return {false, false, "FailJobSetFailurePolicyAction", applying, ""};
  const bool counts = action == "RestartJobSet";
  const int64_t so_far = jobset["status"]["restartsCountTowardsMax"].as_int();
  if (counts && so_far >= policy["maxRestarts"].as_int()) {
    return {false, false, "ReachedMaxRestarts",
            with_job("jobset failed due to reaching max number of restarts", *job), ""};
  }
  return {true, counts, restarting, applying, action + "FailurePolicyAction"};
}

}  // namespace pelton::decide::workload
