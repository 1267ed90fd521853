// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/job/failure.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/object.h"

namespace pelton::decide::workload {
namespace {

using base::Json;

/// The first container that the rule is about and whose exit code it matches, or nullptr.
const Json* find_exit(const Json& requirement, const Json& pod) {
  const Json& wanted = requirement["containerName"];
  const bool is_in = requirement["operator"].as_string() == "In";
  for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
    for (const Json& status : pod["status"][list].items()) {
      if (wanted.is_string() && wanted.as_string() != status["name"].as_string()) continue;
      const Json& terminated = status.at("state.terminated");
      if (terminated.is_null() || terminated["exitCode"].as_int() == 0) continue;
      const auto& values = requirement["values"].items();
      const bool is_listed = std::any_of(values.begin(), values.end(), [&](const Json& value) {
        return value.as_int() == terminated["exitCode"].as_int();
      });
      if (is_listed == is_in) return &status;
    }
  }
  return nullptr;
}

const Json* find_matching_condition(const Json& patterns, const Json& pod) {
  for (const Json& pattern : patterns.items()) {
    const Json* condition = api::find_condition(pod, pattern["type"].as_string());
    if (condition == nullptr) continue;
    const std::string& status = pattern["status"].as_string();
    if ((*condition)["status"].as_string() == (status.empty() ? "True" : status)) return condition;
  }
  return nullptr;
}

FailureVerdict::Action action_named(const std::string& name) {
  if (name == "FailJob") return FailureVerdict::Action::FailJob;
  if (name == "FailIndex") return FailureVerdict::Action::FailIndex;
  if (name == "Ignore") return FailureVerdict::Action::Ignore;
  return FailureVerdict::Action::Count;
}

}  // namespace

FailureVerdict judge_failed_pod(const Json& job, const Json& pod) {
  const auto& rules = job["spec"]["podFailurePolicy"]["rules"].items();
  if (pod["status"]["phase"].as_string() != "Failed") return {};
  const std::string pod_name = api::namespace_of(pod) + "/" + api::name_of(pod);
  for (size_t i = 0; i < rules.size(); ++i) {
    const std::string& action = rules[i]["action"].as_string();
    if (rules[i].contains("onExitCodes")) {
      const Json* status = find_exit(rules[i]["onExitCodes"], pod);
      if (status == nullptr) continue;
      return {action_named(action),
              fmt::format("Container {} for pod {} failed with exit code {} matching {} rule at "
                          "index {}",
                          (*status)["name"].as_string(), pod_name,
                          status->at("state.terminated.exitCode").as_int(), action, i)};
    }
    const Json* condition = find_matching_condition(rules[i]["onPodConditions"], pod);
    if (condition == nullptr) continue;
    return {action_named(action),
            fmt::format("Pod {} has condition {} matching {} rule at index {}", pod_name,
                        (*condition)["type"].as_string(), action, i)};
  }
  return {};
}

bool restarts_exceed_backoff_limit(const Json& job, const std::vector<JobPod>& pods) {
  if (job.at("spec.template.spec.restartPolicy").as_string() != "OnFailure") return false;
  const int64_t limit = job["spec"]["backoffLimit"].as_int(6);
  int64_t restarts = 0;
  for (const JobPod& pod : pods) {
    const std::string& phase = (*pod.pod)["status"]["phase"].as_string();
    if (phase != "Running" && phase != "Pending") continue;
    for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
      for (const Json& status : (*pod.pod)["status"][list].items()) {
        restarts += status["restartCount"].as_int();
      }
    }
  }
  return limit == 0 ? restarts > 0 : restarts >= limit;
}

base::Duration remaining_backoff(const std::vector<JobPod>& pods, const JobOptions& options,
                                 base::Instant now, int64_t index) {
  base::Instant last_success;
  base::Instant last_failure;
  for (const JobPod& pod : pods) {
    if (index >= 0 && pod.index != index) continue;
    if (pod.has_succeeded) last_success = std::max(last_success, pod.ended_at);
    if (pod.has_failed) last_failure = std::max(last_failure, pod.ended_at);
  }
  base::Duration delay = options.backoff_base;
  int64_t failures = 0;
  for (const JobPod& pod : pods) {
    if (index >= 0 && pod.index != index) continue;
    if (!pod.has_failed || pod.ended_at < last_success) continue;
    if (++failures > 1 && delay < options.backoff_max) delay = delay * 2;
  }
  if (failures == 0) return {};
  return std::max(last_failure + std::min(delay, options.backoff_max) - now, base::Duration());
}

}  // namespace pelton::decide::workload
