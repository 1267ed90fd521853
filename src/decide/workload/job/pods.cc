// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/job/pods.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "api/names.h"
#include "api/object.h"
#include "base/strings.h"

namespace pelton::decide::workload {
namespace {

using base::Json;

int64_t int_annotation(const Json& object, std::string_view key, int64_t fallback) {
  auto value = base::parse_int(api::annotation_of(object, key));
  return value.ok() ? *value : fallback;
}

base::Instant end_of(const Json& pod) {
  base::Instant latest;
  for (const Json& status : pod["status"]["containerStatuses"].items()) {
    auto at = base::parse_time(status.at("state.terminated.finishedAt").as_string());
    if (at.ok()) latest = std::max(latest, *at);
  }
  if (latest == base::Instant() && api::is_being_deleted(pod)) {
    // The timestamp is when the grace ends; what counts is when somebody asked.
    const int64_t grace = pod["metadata"]["deletionGracePeriodSeconds"].as_int();
    latest = api::deletion_time_of(pod) - base::Duration::seconds(grace);
  }
  // A pod that never ran (evicted while pending) has no container that finished.
  const Json* ready = api::find_condition(pod, "Ready");
  if (latest == base::Instant() && ready != nullptr) {
    auto at = base::parse_time((*ready)["lastTransitionTime"].as_string());
    if (at.ok()) latest = *at;
  }
  return latest;
}

void add_completion_index_env(Json& containers) {
  if (!containers.is_array()) return;
  for (Json& container : containers.mutable_items()) {
    bool has_it = false;
    for (const Json& variable : container["env"].items()) {
      has_it = has_it || variable["name"].as_string() == "JOB_COMPLETION_INDEX";
    }
    if (has_it) continue;
    const std::string path = fmt::format("metadata.annotations['{}']", kCompletionIndex);
    container.child("env").push_back(Json::object(
        {{"name", "JOB_COMPLETION_INDEX"},
         {"valueFrom", Json::object({{"fieldRef", Json::object({{"apiVersion", "v1"},
                                                                {"fieldPath", path}})}})}}));
  }
}

}  // namespace

bool is_indexed(const Json& job) {
  return job["spec"]["completionMode"].as_string() == "Indexed";
}

bool replaces_only_failed(const Json& job) {
  const std::string& policy = job["spec"]["podReplacementPolicy"].as_string();
  return policy.empty() ? job["spec"].contains("podFailurePolicy") : policy == "Failed";
}

const std::string& JobPod::uid() const {
  return api::uid_of(*pod);
}

const std::string& JobPod::name() const {
  return api::name_of(*pod);
}

std::vector<JobPod> observe_job_pods(const JobObserved& observed) {
  const Json& job = *observed.job;
  const bool only_failed = replaces_only_failed(job);
  const bool indexed = is_indexed(job);
  std::vector<JobPod> pods;
  pods.reserve(observed.pods.size());
  for (const Json* pod : observed.pods) {
    JobPod facts;
    facts.pod = pod;
    facts.index = indexed ? int_annotation(*pod, kCompletionIndex, -1) : -1;
    facts.attempt = int_annotation(*pod, kAttempt, 0);
    facts.is_tracked = api::has_finalizer(*pod, kJobTrackingFinalizer);
    const std::string& phase = (*pod)["status"]["phase"].as_string();
    const bool is_deleted = api::is_being_deleted(*pod);
    facts.has_succeeded = phase == "Succeeded";
    // A deleted pod may never get to say how it ended (its node is gone), so it counts as failed
    // at once, unless the Job asks to wait for the end.
    facts.has_failed = phase == "Failed" ||
                       (!facts.has_succeeded && is_deleted && (!only_failed || phase == "Pending"));
    facts.is_terminating = is_deleted && phase != "Failed" && phase != "Succeeded";
    facts.is_active = !is_deleted && phase != "Failed" && phase != "Succeeded";
    facts.is_ready = facts.is_active && api::is_condition_true(*pod, "Ready");
    if (facts.has_succeeded || facts.has_failed) facts.ended_at = end_of(*pod);
    pods.push_back(facts);
  }
  std::sort(pods.begin(), pods.end(), [](const JobPod& a, const JobPod& b) {
    return std::tie(a.index, a.attempt, a.name()) < std::tie(b.index, b.attempt, b.name());
  });
  return pods;
}

std::string job_pod_name(const Json& job, int64_t index, int64_t attempt) {
  constexpr size_t kPrefixMax = 57;  // with "-" and five characters: 63
  const std::string key = fmt::format("{}/{}/{}", api::uid_of(job), index, attempt);
  const std::string middle = index < 0 ? "" : fmt::format("-{}", index);
  const std::string prefix = api::name_of(job).substr(0, kPrefixMax - middle.size()) + middle;
  return prefix + "-" + api::name_suffix(base::hash64(key));
}

Json make_job_pod(const Json& job, int64_t index, int64_t attempt, int64_t index_failures) {
  const Json& pod_template = job["spec"]["template"];
  Json pod = Json::object({{"apiVersion", "v1"}, {"kind", "Pod"}, {"spec", pod_template["spec"]}});
  Json& metadata = pod.set("metadata", Json::object());
  metadata.set("name", job_pod_name(job, index, attempt));
  metadata.set("namespace", api::namespace_of(job));
  Json labels = pod_template["metadata"]["labels"];
  labels.set(kJobNameLabel, api::name_of(job));
  labels.set("job-name", api::name_of(job));
  labels.set(kControllerUidLabel, api::uid_of(job));
  labels.set("controller-uid", api::uid_of(job));
  Json annotations = pod_template["metadata"]["annotations"];
  annotations.set(kAttempt, std::to_string(attempt));
  if (index >= 0) {
    labels.set(kCompletionIndex, std::to_string(index));
    annotations.set(kCompletionIndex, std::to_string(index));
    if (index_failures >= 0) annotations.set(kIndexFailureCount, std::to_string(index_failures));
    Json& spec = pod.child("spec");
    spec.set("hostname", fmt::format("{}-{}", api::name_of(job), index));
    add_completion_index_env(spec.child("containers"));
    if (spec.contains("initContainers")) add_completion_index_env(spec.child("initContainers"));
  }
  metadata.set("labels", std::move(labels));
  metadata.set("annotations", std::move(annotations));
  Json finalizers = pod_template["metadata"]["finalizers"];
  finalizers.push_back(kJobTrackingFinalizer);
  metadata.set("finalizers", std::move(finalizers));
  metadata.set("ownerReferences", Json::array({api::make_controller_reference(job)}));
  return pod;
}

Json without_finalizer(Json object, std::string_view finalizer) {
  Json& metadata = object.child("metadata");
  Json kept = Json::array();
  for (const Json& item : metadata["finalizers"].items()) {
    if (item.as_string() != finalizer) kept.push_back(item);
  }
  if (kept.empty()) {
    metadata.erase("finalizers");
  } else {
    metadata.set("finalizers", std::move(kept));
  }
  return object;
}

}  // namespace pelton::decide::workload
