// SPDX-License-Identifier: Apache-2.0
// JobSet's webhook and the CEL rules of its CRD.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/names.h"
#include "api/object.h"
#include "api/validate_kinds.h"

namespace pelton::api {
namespace {

using base::Json;

constexpr int64_t kPodsMax = INT32_MAX;

bool is_indexed(const Json& job_spec) {
  return job_spec["completionMode"].as_string() == "Indexed";
}

const Json* find_replicated_job(const Json& spec, std::string_view name) {
  for (const Json& replicated : spec["replicatedJobs"].items()) {
    if (replicated["name"].as_string() == name) return &replicated;
  }
  return nullptr;
}

// Jobs and their pods are named after the JobSet: the longest of those names must be a DNS label.
void check_child_names(Findings& findings, const Path& path, const std::string& jobset,
                       const Json& replicated) {
  const int64_t replicas = replicated["replicas"].as_int(1);
  const std::string job = fmt::format("{}-{}-{}", jobset, replicated["name"].as_string(),
                                      std::max<int64_t>(replicas, 1) - 1);
  std::string problem = check_dns1035_label(job);
  if (!problem.empty()) {
    findings.invalid(path / "name", replicated["name"],
                     fmt::format("the name of its Job would be \"{}\": {}", job, problem));
    return;
  }
  const Json& job_spec = replicated["template"]["spec"];
  if (!is_indexed(job_spec) || job_spec["completions"].is_null()) return;
  const std::string pod = fmt::format("{}-{}-abcde", job, job_spec["completions"].as_int() - 1);
  problem = check_dns1035_label(pod);
  if (!problem.empty()) {
    findings.invalid(path / "name", replicated["name"],
                     fmt::format("the name of its pods would be \"{}\": {}", pod, problem));
  }
}

void check_depends_on(Findings& findings, const Path& path, const Json& replicated,
                      const std::set<std::string>& seen, bool is_first) {
  const Json& depends = replicated["dependsOn"];
  if (depends.empty()) return;
  if (is_first) {
    findings.invalid(path, depends, "DependsOn can't be set for the first ReplicatedJob");
    return;
  }
  constexpr size_t kDependenciesMax = 5;
  if (depends.size() > kDependenciesMax) findings.too_many(path, depends.size(), kDependenciesMax);
  size_t index = 0;
  for (const Json& dependency : depends.items()) {
    const Path at = path[index++] / "name";
    if (!seen.count(dependency["name"].as_string())) {
      findings.invalid(
          at, dependency["name"],
          fmt::format("replicatedJob: {} cannot depend on replicatedJob: {} that does not "
                      "precede it",
                      replicated["name"].as_string(), dependency["name"].as_string()));
    }
  }
}

void check_replicated_jobs(Findings& findings, const Path& path, const Json& jobset) {
  const Json& spec = jobset["spec"];
  std::set<std::string> seen;
  size_t index = 0;
  for (const Json& replicated : spec["replicatedJobs"].items()) {
    const Path at = path[index];
    const int64_t replicas = replicated["replicas"].as_int(1);
    const int64_t parallelism = replicated["template"]["spec"]["parallelism"].as_int(1);
    check_at_least(findings, at / "replicas", replicated["replicas"], 0);
    if (replicas > 0 && parallelism > 0 && replicas > kPodsMax / parallelism) {
      findings.invalid(at / "replicas", replicated["replicas"],
                       fmt::format("the product of replicas and parallelism must not exceed {} for "
                                   "replicatedJob '{}'",
                                   kPodsMax, replicated["name"].as_string()));
    }
    check_with(findings, at / "groupName", replicated["groupName"], check_dns1035_label);
    check_child_names(findings, at, name_of(jobset), replicated);
    seen.insert(replicated["name"].as_string());  // naming itself is admitted, as upstream
    check_depends_on(findings, at / "dependsOn", replicated, seen, index == 0);
    ++index;
  }
}

// The CRD's own rule, on create and update.
void check_startup(Findings& findings, const Json& spec) {
  if (spec["startupPolicy"]["startupPolicyOrder"].as_string() != "InOrder") return;
  const auto& all = spec["replicatedJobs"].items();
  if (std::any_of(all.begin(), all.end(), [](const Json& r) { return r.contains("dependsOn"); })) {
    findings.invalid(Path("spec"), "object",
                     "StartupPolicy and DependsOn APIs are mutually exclusive");
  }
}

void check_targets(Findings& findings, const Path& path, const Json& spec, const Json& targets) {
  size_t index = 0;
  for (const Json& target : targets.items()) {
    if (!find_replicated_job(spec, target.as_string())) {
      findings.invalid(path[index], target,
                       fmt::format("invalid replicatedJob name '{}' does not appear in "
                                   ".spec.ReplicatedJobs",
                                   target.as_string()));
    }
    ++index;
  }
}

bool is_rule_name(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_inner = [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == ',' || c == ':';
  };
  return !name.empty() && name.size() <= 128 && is_letter(name.front()) &&
         std::all_of(name.begin(), name.end(), is_inner) && name.back() != ',' &&
         name.back() != ':';
}

void check_failure_policy(Findings& findings, const Path& path, const Json& spec) {
  const Json& policy = spec["failurePolicy"];
  std::set<std::string> names;
  size_t index = 0;
  for (const Json& rule : policy["rules"].items()) {
    const Path at = (path / "rules")[index++];
    const std::string& name = rule["name"].as_string();
    if (!is_rule_name(name)) {
      findings.invalid(at / "name", name,
                       "a failure policy rule name must be 1 to 128 characters long and match "
                       "'^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$'");
    } else if (!names.insert(name).second) {
      findings.duplicate(at / "name", name);
    }
    if (rule["action"].as_string().starts_with("RestartJob") &&
        !rule["action"].as_string().starts_with("RestartJobSet")) {
      findings.invalid(at / "action", rule["action"],
                       "this action needs the feature RestartJob, which is not offered");
    }
    check_targets(findings, at / "targetReplicatedJobs", spec, rule["targetReplicatedJobs"]);
    size_t reason_index = 0;
    for (const Json& reason : rule["onJobFailureReasons"].items()) {
      check_one_of(findings, (at / "onJobFailureReasons")[reason_index++], reason,
                   {"BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes",
                    "MaxFailedIndexesExceeded", "PodFailurePolicy"});
    }
  }
  if (policy["restartStrategy"].as_string() == "InPlaceRestart") {
    findings.invalid(path / "restartStrategy", policy["restartStrategy"],
                     "this strategy needs the feature InPlaceRestart, which is not offered");
  }
}

void check_coordinator(Findings& findings, const Path& path, const Json& jobset) {
  const Json& spec = jobset["spec"];
  const Json& coordinator = spec["coordinator"];
  if (coordinator.is_null()) return;
  const Json* replicated = find_replicated_job(spec, coordinator["replicatedJob"].as_string());
  if (!replicated) {
    findings.invalid(path / "replicatedJob", coordinator["replicatedJob"],
                     "coordinator replicatedJob does not exist");
    return;
  }
  const int64_t job_index = coordinator["jobIndex"].as_int(),
                pod_index = coordinator["podIndex"].as_int();
  if (job_index < 0 || job_index >= (*replicated)["replicas"].as_int(1)) {
    findings.invalid(path / "jobIndex", coordinator["jobIndex"],
                     fmt::format("coordinator job index {} is invalid for replicatedJob {}",
                                 job_index, (*replicated)["name"].as_string()));
  }
  const Json& job_spec = (*replicated)["template"]["spec"];
  if (!is_indexed(job_spec) || job_spec["completions"].is_null()) {
    findings.invalid(path, coordinator,
                     "job for coordinator pod must be indexed completion mode with "
                     "completions set");
  } else if (pod_index < 0 || pod_index >= job_spec["completions"].as_int()) {
    findings.invalid(path / "podIndex", coordinator["podIndex"],
                     fmt::format("pod index {} is invalid for replicatedJob {}", pod_index,
                                 (*replicated)["name"].as_string()));
  }
  const std::string& subdomain = spec["network"]["subdomain"].as_string();
  const std::string endpoint =
      fmt::format("{}-{}-{}-{}.{}", name_of(jobset), (*replicated)["name"].as_string(), job_index,
                  pod_index, subdomain.empty() ? name_of(jobset) : subdomain);
  if (!check_label_value(endpoint).empty()) {
    findings.invalid(path, endpoint, "the coordinator's endpoint must be a valid label value");
  }
}

void check_managed_by(Findings& findings, const Path& path, const Json& value) {
  if (value.is_null()) return;
  const std::string& text = value.as_string();
  const size_t slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size()) {
    findings.invalid(path, value, "must be a domain-prefixed path (such as \"acme.io/foo\")");
  } else if (text.size() > 63) {
    findings.too_long(path, 63);
  }
}

// Claims are not served here. Ignoring them would leave pods that mount them waiting for ever.
void check_volume_claims(Findings& findings, const Path& path, const Json& policies) {
  if (policies.empty()) return;
  findings.forbidden(path,
                     "persistent volume claims are not offered by this server; declare a hostPath "
                     "or emptyDir volume in the pod template instead");
}

// CEL compares the entries of a map list by their keys, where old and new both have the field.
void check_depends_on_unchanged(Findings& findings, const Path& path, const Json& before,
                                const Json& after) {
  size_t index = 0;
  for (const Json& replicated : after.items()) {
    const Path at = path[index++] / "dependsOn";
    for (const Json& old : before.items()) {
      if (old["name"] != replicated["name"]) continue;
      if (old["dependsOn"].is_null() || replicated["dependsOn"].is_null()) continue;
      if (old["dependsOn"] == replicated["dependsOn"]) continue;
      findings.invalid(at, "array", "Value is immutable");
    }
  }
}

// What Kueue may change in a template while the JobSet is suspended.
Json masked(const Json& replicated_jobs) {
  Json result = replicated_jobs;
  if (!result.is_array()) return result;
  for (Json& replicated : result.mutable_items()) {
    Json& pod = replicated.make("template.spec.template");
    for (const char* field : {"labels", "annotations"}) pod.child("metadata").erase(field);
    for (const char* field : {"nodeSelector", "tolerations", "schedulingGates"}) {
      pod.child("spec").erase(field);
    }
    if (pod["metadata"].empty()) pod.erase("metadata");
  }
  return result;
}

}  // namespace

void validate_jobset(Findings& findings, const Json& jobset) {
  const Json& spec = jobset["spec"];
  const Path path("spec");
  check_startup(findings, spec);
  if (!findings.empty()) return;  // the webhook does not see what the CRD's rules refuse
  check_replicated_jobs(findings, path / "replicatedJobs", jobset);
  check_targets(findings, path / "successPolicy" / "targetReplicatedJobs", spec,
                spec["successPolicy"]["targetReplicatedJobs"]);
  check_failure_policy(findings, path / "failurePolicy", spec);
  if (const Json& subdomain = spec["network"]["subdomain"]; !subdomain.as_string().empty()) {
    check_with(findings, path / "network" / "subdomain", subdomain, check_dns1123_subdomain);
    check_with(findings, path / "network" / "subdomain", subdomain, check_dns1035_label);
  }
  check_coordinator(findings, path / "coordinator", jobset);
  check_managed_by(findings, path / "managedBy", spec["managedBy"]);
  check_at_least(findings, path / "ttlSecondsAfterFinished", spec["ttlSecondsAfterFinished"], 0);
  check_volume_claims(findings, path / "volumeClaimPolicies", spec["volumeClaimPolicies"]);
}

void validate_jobset_update(Findings& findings, const Json& before, const Json& after) {
  const Json& old_spec = before["spec"];
  const Json& new_spec = after["spec"];
  const Path path("spec");
  // CEL's `self == oldSelf` runs only where both exist: these may come or go as a whole.
  for (const char* field :
       {"network", "successPolicy", "failurePolicy", "startupPolicy", "volumeClaimPolicies"}) {
    if (old_spec[field].is_null() || new_spec[field].is_null()) continue;
    if (!(old_spec[field] == new_spec[field])) {
      findings.invalid(path / field, "object", "Value is immutable");
    }
  }
  check_depends_on_unchanged(findings, path / "replicatedJobs", old_spec["replicatedJobs"],
                             new_spec["replicatedJobs"]);
  check_startup(findings, new_spec);
  if (!findings.empty()) return;  // the webhook does not see what the CRD's rules refuse
  const bool is_open = old_spec["suspend"].as_bool() || new_spec["suspend"].as_bool();
  const Json& old_jobs = old_spec["replicatedJobs"];
  const Json& new_jobs = new_spec["replicatedJobs"];
  const bool is_same = is_open ? masked(old_jobs) == masked(new_jobs) : old_jobs == new_jobs;
  if (!is_same) findings.invalid(path / "replicatedJobs", new_jobs, "field is immutable");
  check_immutable(findings, path / "managedBy", old_spec["managedBy"], new_spec["managedBy"]);
  check_at_least(findings, path / "ttlSecondsAfterFinished", new_spec["ttlSecondsAfterFinished"],
                 0);
}

}  // namespace pelton::api
