// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/jobset/children.h"

#include <fmt/format.h>

#include "api/object.h"

namespace pelton::decide::workload {
namespace {

using base::Json;

const std::string& group_of(const Json& replicated_job) {
  static const std::string kDefault = "default";
  const std::string& name = replicated_job["groupName"].as_string();
  return name.empty() ? kDefault : name;
}

struct Position {
  int64_t earlier = 0;        ///< replicas of all earlier replicated jobs
  int64_t group_earlier = 0;  ///< of those of the same group
  int64_t group_total = 0;
};

Position position_of(const Json& jobset, size_t position) {
  const auto& replicated_jobs = jobset["spec"]["replicatedJobs"].items();
  const std::string& group = group_of(replicated_jobs[position]);
  Position result;
  for (size_t i = 0; i < replicated_jobs.size(); ++i) {
    const int64_t replicas = replicas_of(replicated_jobs[i]);
    const bool is_same_group = group_of(replicated_jobs[i]) == group;
    if (is_same_group) result.group_total += replicas;
    if (i >= position) continue;
    result.earlier += replicas;
    if (is_same_group) result.group_earlier += replicas;
  }
  return result;
}

std::string coordinator_of(const Json& jobset) {
  const Json& coordinator = jobset["spec"]["coordinator"];
  return fmt::format("{}-{}.{}",
                     child_job_name(jobset, coordinator["replicatedJob"].as_string(),
                                    coordinator["jobIndex"].as_int()),
                     coordinator["podIndex"].as_int(), subdomain_of(jobset));
}

/// Puts the keys of section "child Jobs and pods" into labels and annotations of `metadata`.
void add_keys(Json& metadata, const Json& jobset, size_t position, int64_t index) {
  const Json& replicated_job = jobset["spec"]["replicatedJobs"][position];
  const std::string& name = replicated_job["name"].as_string();
  const Position at = position_of(jobset, position);
  const auto number = [](int64_t n) { return std::to_string(n); };
  std::vector<std::pair<std::string_view, std::string>> keys = {
      {kJobSetName, api::name_of(jobset)},
      {kJobSetUid, api::uid_of(jobset)},
      {kReplicatedJobName, name},
      {kReplicatedJobReplicas, number(replicas_of(replicated_job))},
      {kJobIndex, number(index)},
      {kJobGlobalIndex, number(at.earlier + index)},
      {kGlobalReplicas, number(total_replicas(jobset))},
      {kGroupName, group_of(replicated_job)},
      {kGroupReplicas, number(at.group_total)},
      {kJobGroupIndex, number(at.group_earlier + index)},
      {kJobKey, job_key(api::namespace_of(jobset), child_job_name(jobset, name, index))},
      {kRestartAttempt, number(jobset["status"]["restarts"].as_int())},
  };
  if (jobset["spec"].contains("coordinator")) {
    keys.emplace_back(kCoordinator, coordinator_of(jobset));
  }
  Json& labels = metadata.child("labels");
  for (const auto& [key, value] : keys) labels.set(key, value);
  Json& annotations = metadata.child("annotations");
  for (const auto& [key, value] : keys) annotations.set(key, value);
}

/// Of the replicated job's template, else of the JobSet; "" where neither has it.
std::string topology_annotation(const Json& jobset, const Json& replicated_job,
                                std::string_view key) {
  const std::string& own = api::annotation_of(replicated_job["template"], key);
  return own.empty() ? api::annotation_of(jobset, key) : own;
}

/// Hands exclusive placement down to the Job and its pods; with the node-selector strategy the Job
/// asks for the nodes that bear its name, and tolerates their taint.
void add_exclusive_placement(Json& job, const Json& jobset, const Json& replicated_job) {
  const std::string topology = topology_annotation(jobset, replicated_job, kExclusiveTopology);
  if (topology.empty()) return;
  const std::string strategy = topology_annotation(jobset, replicated_job, kNodeSelectorStrategy);
  Json& pod_template = job.child("spec").child("template");
  for (Json* object : {&job, &pod_template}) {
    Json& annotations = object->child("metadata").child("annotations");
    annotations.set(kExclusiveTopology, topology);
    if (!strategy.empty()) annotations.set(kNodeSelectorStrategy, strategy);
  }
  if (strategy.empty()) return;
  Json& spec = pod_template.child("spec");
  spec.child("nodeSelector").set(kNamespacedJob, api::namespace_of(job) + "_" + api::name_of(job));
  spec.child("tolerations")
      .push_back(Json::object(
          {{"key", kNoScheduleTaint}, {"operator", "Exists"}, {"effect", "NoSchedule"}}));
}

/// With a RecoveryPolicy, a pod that is replaced is no failure of its Job: its end is ignored, and
/// so is that of a container that a signal ended. Kubernetes permits that with restartPolicy Never
/// alone, and only where pods are replaced once they have ended; a policy of the user's own comes
/// after.
void add_recovery(Json& job, const Json& jobset) {
  const std::string& policy = api::label_of(jobset, kRecoveryPolicy);
  if (policy.empty()) return;
  Json& spec = job.child("spec");
  job.child("metadata").child("labels").set(kRecoveryPolicy, policy);
  spec.make("template.metadata.labels").set(kRecoveryPolicy, policy);
  const std::string& replacement = spec["podReplacementPolicy"].as_string();
  if (spec.at("template.spec.restartPolicy").as_string() != "Never") return;
  if (!replacement.empty() && replacement != "Failed") return;
  constexpr int64_t kSignals[] = {134, 135, 137, 139, 143};  // ABRT, BUS, KILL, SEGV, TERM
  Json values = Json::array();
  for (const int64_t code : kSignals) values.push_back(code);
  Json rules = Json::array({Json::object(
      {{"action", "Ignore"},
       {"onPodConditions",
        Json::array({Json::object({{"type", "DisruptionTarget"}, {"status", "True"}})})}})});
  const Json own = spec["podFailurePolicy"]["rules"];
  for (const Json& rule : own.items()) rules.push_back(rule);
  rules.push_back(Json::object(
      {{"action", "Ignore"},
       {"onExitCodes", Json::object({{"operator", "In"}, {"values", std::move(values)}})}}));
  spec.child("podFailurePolicy").set("rules", std::move(rules));
}

}  // namespace

int64_t replicas_of(const Json& replicated_job) {
  return replicated_job["replicas"].as_int(1);
}

int64_t total_replicas(const Json& jobset) {
  int64_t total = 0;
  for (const Json& item : jobset["spec"]["replicatedJobs"].items()) total += replicas_of(item);
  return total;
}

std::string child_job_name(const Json& jobset, std::string_view replicated_job, int64_t index) {
  return fmt::format("{}-{}-{}", api::name_of(jobset), replicated_job, index);
}

std::string subdomain_of(const Json& jobset) {
  const std::string& subdomain = jobset["spec"]["network"]["subdomain"].as_string();
  return subdomain.empty() ? api::name_of(jobset) : subdomain;
}

bool has_dns_hostnames(const Json& jobset) {
  return jobset["spec"]["network"]["enableDNSHostnames"].as_bool(true);
}

Json make_child_job(const Json& jobset, size_t position, int64_t index) {
  const Json& replicated_job = jobset["spec"]["replicatedJobs"][position];
  const Json& job_template = replicated_job["template"];
  Json job =
      Json::object({{"apiVersion", "batch/v1"}, {"kind", "Job"}, {"spec", job_template["spec"]}});
  Json& metadata = job.set("metadata", Json::object());
  metadata.set("name", child_job_name(jobset, replicated_job["name"].as_string(), index));
  metadata.set("namespace", api::namespace_of(jobset));
  for (const char* map : {"labels", "annotations"}) {
    const Json& from = job_template["metadata"][map];
    if (from.is_object()) metadata.set(map, from);
  }
  metadata.set("ownerReferences", Json::array({api::make_controller_reference(jobset)}));
  add_keys(metadata, jobset, position, index);
  Json& spec = job.child("spec");
  spec.set("suspend", jobset["spec"]["suspend"].as_bool());
  Json& pod_metadata = spec.make("template.metadata");
  if (pod_metadata.is_null()) pod_metadata = Json::object();
  add_keys(pod_metadata, jobset, position, index);
  if (has_dns_hostnames(jobset)) {
    spec.make("template.spec").set("subdomain", subdomain_of(jobset));
  }
  add_exclusive_placement(job, jobset, replicated_job);
  add_recovery(job, jobset);
  return job;
}

Json make_headless_service(const Json& jobset) {
  const Json& publish = jobset["spec"]["network"]["publishNotReadyAddresses"];
  return Json::object(
      {{"apiVersion", "v1"},
       {"kind", "Service"},
       {"metadata",
        Json::object({{"name", subdomain_of(jobset)},
                      {"namespace", api::namespace_of(jobset)},
                      {"ownerReferences", Json::array({api::make_controller_reference(jobset)})}})},
       {"spec", Json::object({{"clusterIP", "None"},
                              {"selector", Json::object({{kJobSetName, api::name_of(jobset)}})},
                              {"publishNotReadyAddresses", publish.as_bool(true)}})}});
}

}  // namespace pelton::decide::workload
