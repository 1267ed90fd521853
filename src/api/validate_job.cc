// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "api/names.h"
#include "api/object.h"
#include "api/selector.h"
#include "api/validate_kinds.h"

namespace pelton::api {
namespace {

using base::Json;

constexpr int64_t kIndexedMax = 100'000;

bool is_indexed(const Json& spec) {
  return spec["completionMode"].as_string() == "Indexed";
}

void check_indexed(Findings& findings, const Path& path, const Json& job) {
  const Json& spec = job["spec"];
  if (spec["completions"].is_null()) {
    findings.required(path / "completions", "when completion mode is Indexed");
    return;
  }
  const int64_t completions = spec["completions"].as_int();
  if (completions > kIndexedMax && spec["parallelism"].as_int() > 10'000) {
    findings.invalid(path / "parallelism", spec["parallelism"],
                     "must be less than or equal to 10000 when completions are over 100000");
  }
  if (completions < 1) return;
  // Pods' hostnames are the Job's name and the index.
  const std::string last = fmt::format("{}-{}", name_of(job), completions - 1);
  if (!check_dns1123_label(last).empty()) {
    findings.invalid(Path("metadata.name"), name_of(job),
                     "will not able to create pod with invalid DNS label: " + last);
  }
}

void check_failure_policy(Findings& findings, const Path& path, const Json& spec) {
  const Json& policy = spec["podFailurePolicy"];
  if (policy.is_null()) return;
  if (spec["template"]["spec"]["restartPolicy"].as_string() != "Never") {
    findings.invalid(Path("spec.template.spec.restartPolicy"),
                     spec["template"]["spec"]["restartPolicy"],
                     "only \"Never\" is supported when podFailurePolicy is specified");
  }
  size_t index = 0;
  for (const Json& rule : policy["rules"].items()) {
    const Path at = (path / "podFailurePolicy" / "rules")[index++];
    if (rule["action"].as_string().empty()) {
      findings.required(at / "action",
                        "valid values: \"Count\", \"FailIndex\", \"FailJob\", \"Ignore\"");
    } else {
      check_one_of(findings, at / "action", rule["action"],
                   {"Count", "FailIndex", "FailJob", "Ignore"});
    }
    const bool has_codes = rule.contains("onExitCodes");
    const bool has_conditions = !rule["onPodConditions"].empty();
    if (has_codes == has_conditions) {
      findings.invalid(at, rule,
                       has_codes
                           ? "specifying both OnExitCodes and OnPodConditions is not supported"
                           : "specifying one of OnExitCodes and OnPodConditions is required");
    }
    if (has_codes) {
      check_one_of(findings, at / "onExitCodes" / "operator", rule["onExitCodes"]["operator"],
                   {"In", "NotIn"});
      if (rule["onExitCodes"]["values"].empty()) {
        findings.invalid(at / "onExitCodes" / "values", rule["onExitCodes"]["values"],
                         "at least one value is required");
      }
    }
  }
}

void check_success_policy(Findings& findings, const Path& path, const Json& spec) {
  const Json& policy = spec["successPolicy"];
  if (policy.is_null()) return;
  if (!is_indexed(spec)) {
    findings.invalid(path / "completionMode", spec["completionMode"],
                     "only Indexed is supported when successPolicy is specified");
  }
  if (policy["rules"].empty()) {
    findings.required(path / "successPolicy" / "rules", "at least one rules must be specified");
  }
}

void check_template(Findings& findings, const Path& path, const Json& spec) {
  const Json& pod_template = spec["template"];
  auto selector = LabelSelector::from_object(spec["selector"]);
  if (spec["selector"].is_null()) {
    findings.required(path / "selector");
  } else if (selector.ok() && !selector->matches(pod_template["metadata"]["labels"])) {
    findings.invalid(path / "template" / "metadata" / "labels", pod_template["metadata"]["labels"],
                     "`selector` does not match template `labels`");
  }
  check_label_selector(findings, path / "selector", spec["selector"]);
  validate_pod_template(findings, path / "template", pod_template);
  const Json& policy = pod_template["spec"]["restartPolicy"];
  if (policy.as_string() == "Always") {
    findings.not_supported(path / "template" / "spec" / "restartPolicy", policy,
                           {"OnFailure", "Never"});
  }
}

// The parts of a template that a queueing controller may fill in while the Job has not started.
Json without_scheduling(const Json& pod_template) {
  Json result = pod_template;
  if (result["metadata"].is_object()) {
    result.child("metadata").erase("labels");
    result.child("metadata").erase("annotations");
  }
  for (const char* field : {"nodeSelector", "tolerations", "affinity", "schedulingGates"}) {
    result.child("spec").erase(field);
  }
  for (const char* list : {"containers", "initContainers"}) {
    if (!result["spec"][list].is_array()) continue;
    for (Json& container : result.child("spec").child(list).mutable_items()) {
      container.erase("resources");
    }
  }
  return result;
}

bool is_template_open(const Json& job) {
  const bool is_started =
      job["status"]["startTime"].is_string() && !is_condition_true(job, "Suspended");
  return job["spec"]["suspend"].as_bool() && !is_started && job["status"]["active"].as_int() == 0;
}

// An elastic Indexed Job grows and shrinks by changing both numbers alike.
bool is_elastic_change(const Json& before, const Json& after) {
  return is_indexed(after) && after["completions"] == after["parallelism"] &&
         before["completions"] == before["parallelism"];
}

}  // namespace

void validate_job(Findings& findings, const Json& job) {
  const Json& spec = job["spec"];
  const Path path("spec");
  for (const char* field :
       {"parallelism", "completions", "backoffLimit", "activeDeadlineSeconds",
        "ttlSecondsAfterFinished", "backoffLimitPerIndex", "maxFailedIndexes"}) {
    check_at_least(findings, path / field, spec[field], 0);
  }
  check_one_of(findings, path / "completionMode", spec["completionMode"],
               {"Indexed", "NonIndexed"});
  check_one_of(findings, path / "podReplacementPolicy", spec["podReplacementPolicy"],
               {"Failed", "TerminatingOrFailed"});
  if (is_indexed(spec)) check_indexed(findings, path, job);
  if (!is_indexed(spec) && !spec["backoffLimitPerIndex"].is_null()) {
    findings.invalid(path / "backoffLimitPerIndex", spec["backoffLimitPerIndex"],
                     "requires indexed completion mode");
  }
  if (spec["backoffLimitPerIndex"].is_null() && !spec["maxFailedIndexes"].is_null()) {
    findings.required(path / "backoffLimitPerIndex", "when maxFailedIndexes is specified");
  }
  check_template(findings, path, spec);
  check_failure_policy(findings, path, spec);
  check_success_policy(findings, path, spec);
}

void validate_job_update(Findings& findings, const Json& before, const Json& after) {
  const Json& old_spec = before["spec"];
  const Json& new_spec = after["spec"];
  const Path path("spec");
  for (const char* field : {"selector", "completionMode", "podFailurePolicy",
                            "backoffLimitPerIndex", "successPolicy", "managedBy"}) {
    check_immutable(findings, path / field, old_spec[field], new_spec[field]);
  }
  if (!is_elastic_change(old_spec, new_spec)) {
    check_immutable(findings, path / "completions", old_spec["completions"],
                    new_spec["completions"]);
  }
  const bool is_open = is_template_open(before);
  const Json& old_template = old_spec["template"];
  const Json& new_template = new_spec["template"];
  const bool is_same = is_open
                           ? without_scheduling(old_template) == without_scheduling(new_template)
                           : old_template == new_template;
  if (!is_same) findings.invalid(path / "template", new_template, "field is immutable");
}

}  // namespace pelton::api
