// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <set>

#include "api/names.h"
#include "api/object.h"
#include "api/selector.h"
#include "api/validate_kinds.h"
#include "base/strings.h"

namespace pelton::api {
namespace {

using base::Json;

constexpr int64_t kIndexedMax = 100'000;
constexpr int64_t kManyIndexesMax = 10'000;  ///< with more completions than kIndexedMax
constexpr size_t kRulesMax = 20;
constexpr size_t kExitCodesMax = 255;
constexpr size_t kPatternsMax = 20;

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
  const int64_t parallelism = spec["parallelism"].as_int();
  const Json& max_failed = spec["maxFailedIndexes"];
  if (parallelism > kIndexedMax) {
    findings.invalid(path / "parallelism", spec["parallelism"],
                     fmt::format("must be less than or equal to {} when completion mode is Indexed",
                                 kIndexedMax));
  }
  if (max_failed.as_int() > completions) {
    findings.invalid(path / "maxFailedIndexes", max_failed,
                     "must be less than or equal to completions");
  }
  if (max_failed.as_int() > kIndexedMax) {
    findings.invalid(path / "maxFailedIndexes", max_failed,
                     fmt::format("must be less than or equal to {}", kIndexedMax));
  }
  if (!spec["backoffLimitPerIndex"].is_null() && completions > kIndexedMax) {
    const std::string when = fmt::format(
        "when completions are above {} and used with backoffLimitPerIndex", kIndexedMax);
    if (max_failed.is_null()) {
      findings.required(path / "maxFailedIndexes",
                        fmt::format("must be specified when completions is above {}", kIndexedMax));
    } else if (max_failed.as_int() > kManyIndexesMax) {
      findings.invalid(path / "maxFailedIndexes", max_failed,
                       fmt::format("must be less than or equal to {} {}", kManyIndexesMax, when));
    }
    if (parallelism > kManyIndexesMax) {
      findings.invalid(path / "parallelism", spec["parallelism"],
                       fmt::format("must be less than or equal to {} {}", kManyIndexesMax, when));
    }
  }
  if (completions < 1) return;
  // Pods' hostnames are the Job's name and the index.
  const std::string last = fmt::format("{}-{}", name_of(job), completions - 1);
  if (!check_dns1123_label(last).empty()) {
    findings.invalid(Path("metadata.name"), name_of(job),
                     "will not able to create pod with invalid DNS label: " + last);
  }
}

bool has_container(const Json& pod_spec, const std::string& name) {
  for (const char* list : {"containers", "initContainers"}) {
    for (const Json& container : pod_spec[list].items()) {
      if (container["name"].as_string() == name) return true;
    }
  }
  return false;
}

void check_exit_codes(Findings& findings, const Path& path, const Json& codes,
                      const Json& pod_spec) {
  const std::string& op = codes["operator"].as_string();
  if (op.empty()) {
    findings.required(path / "operator", "valid values: \"In\", \"NotIn\"");
  } else {
    check_one_of(findings, path / "operator", codes["operator"], {"In", "NotIn"});
  }
  if (const Json& name = codes["containerName"];
      name.is_string() && !has_container(pod_spec, name.as_string())) {
    findings.invalid(path / "containerName", name,
                     "must be one of the container or initContainer names in the pod template");
  }
  const Json& values = codes["values"];
  if (values.empty()) findings.invalid(path / "values", values, "at least one value is required");
  if (values.size() > kExitCodesMax) {
    findings.too_many(path / "values", values.size(), kExitCodesMax);
  }
  int64_t before = INT64_MIN;
  size_t index = 0;
  for (const Json& value : values.items()) {
    const Path at = (path / "values")[index++];
    if (value.as_int() == 0 && op == "In") {
      findings.invalid(at, value, "must not be 0 for the In operator");
    }
    if (value.as_int() == before) findings.duplicate(at, value);
    if (value.as_int() < before) {
      findings.invalid(path / "values", values, "must be ordered");
      break;
    }
    before = value.as_int();
  }
}

void check_pod_conditions(Findings& findings, const Path& path, const Json& patterns) {
  if (patterns.size() > kPatternsMax) findings.too_many(path, patterns.size(), kPatternsMax);
  size_t index = 0;
  for (const Json& pattern : patterns.items()) {
    const Path at = path[index++];
    if (pattern["type"].as_string().empty()) findings.required(at / "type");
    if (pattern["status"].as_string().empty()) {
      findings.required(at / "status", "valid values: \"False\", \"True\", \"Unknown\"");
    } else {
      check_one_of(findings, at / "status", pattern["status"], {"False", "True", "Unknown"});
    }
  }
}

void check_failure_rule(Findings& findings, const Path& at, const Json& rule, const Json& spec) {
  const std::string& action = rule["action"].as_string();
  if (action.empty()) {
    findings.required(at / "action",
                      "valid values: \"Count\", \"FailIndex\", \"FailJob\", \"Ignore\"");
  } else {
    check_one_of(findings, at / "action", rule["action"],
                 {"Count", "FailIndex", "FailJob", "Ignore"});
  }
  if (action == "FailIndex" && spec["backoffLimitPerIndex"].is_null()) {
    findings.invalid(at / "action", rule["action"],
                     "requires the backoffLimitPerIndex to be specified");
  }
  const bool has_codes = rule.contains("onExitCodes");
  const bool has_conditions = !rule["onPodConditions"].empty();
  if (has_codes == has_conditions) {
    findings.invalid(at, rule,
                     has_codes ? "specifying both OnExitCodes and OnPodConditions is not supported"
                               : "specifying one of OnExitCodes and OnPodConditions is required");
  }
  if (has_codes) {
    check_exit_codes(findings, at / "onExitCodes", rule["onExitCodes"], spec["template"]["spec"]);
  }
  check_pod_conditions(findings, at / "onPodConditions", rule["onPodConditions"]);
}

void check_failure_policy(Findings& findings, const Path& path, const Json& spec) {
  const Json& policy = spec["podFailurePolicy"];
  if (policy.is_null()) return;
  if (spec["template"]["spec"]["restartPolicy"].as_string() != "Never") {
    findings.invalid(Path("spec.template.spec.restartPolicy"),
                     spec["template"]["spec"]["restartPolicy"],
                     "only \"Never\" is supported when podFailurePolicy is specified");
  }
  if (const Json& replacement = spec["podReplacementPolicy"];
      replacement.is_string() && replacement.as_string() != "Failed") {
    findings.invalid(path / "podReplacementPolicy", replacement,
                     "only Failed is supported when podFailurePolicy is specified");
  }
  const Path rules_path = path / "podFailurePolicy" / "rules";
  const Json& rules = policy["rules"];
  if (rules.size() > kRulesMax) findings.too_many(rules_path, rules.size(), kRulesMax);
  size_t index = 0;
  for (const Json& rule : rules.items()) {
    check_failure_rule(findings, rules_path[index++], rule, spec);
  }
}

/// "0,2-4,7": ascending, below `completions`. Returns what is wrong, or ""; `count`: how many.
std::string check_indexes(std::string_view text, int64_t completions, int64_t& count) {
  int64_t last = -1;
  count = 0;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    const size_t dash = part.find('-');
    const auto first = base::parse_int(part.substr(0, dash));
    const auto end =
        dash == std::string_view::npos ? first : base::parse_int(part.substr(dash + 1));
    if (!first.ok() || !end.ok()) {
      return fmt::format("cannot convert string to integer for index: \"{}\"", part);
    }
    if (*first < 0 || *end >= completions) {
      return fmt::format("too large index: \"{}\"", part);
    }
    if (*first <= last || *end < *first || (dash != std::string_view::npos && *first == *end)) {
      return fmt::format("non-increasing order, previous: {}, current: {}", last, *first);
    }
    count += *end - *first + 1;
    last = *end;
  }
  return "";
}

void check_success_rule(Findings& findings, const Path& at, const Json& rule, int64_t completions) {
  const Json& indexes = rule["succeededIndexes"];
  const Json& wanted = rule["succeededCount"];
  if (indexes.is_null() && wanted.is_null()) {
    findings.required(at, "at least one of succeededCount or succeededIndexes must be specified");
    return;
  }
  int64_t count = completions;
  if (indexes.is_string()) {
    const std::string problem = check_indexes(indexes.as_string(), completions, count);
    if (!problem.empty()) {
      findings.invalid(at / "succeededIndexes", indexes,
                       "error parsing succeededIndexes: " + problem);
      return;
    }
  }
  if (wanted.is_null()) return;
  check_at_least(findings, at / "succeededCount", wanted, 1);
  if (wanted.as_int() > completions) {
    findings.invalid(
        at / "succeededCount", wanted,
        fmt::format("must be less than or equal to {} (the number of specified completions)",
                    completions));
  } else if (wanted.as_int() > count) {
    findings.invalid(
        at / "succeededCount", wanted,
        fmt::format("must be less than or equal to {} (the number of indexes in the specified "
                    "succeededIndexes field)",
                    count));
  }
}

void check_success_policy(Findings& findings, const Path& path, const Json& spec) {
  const Json& policy = spec["successPolicy"];
  if (policy.is_null()) return;
  if (!is_indexed(spec)) {
    findings.invalid(path / "successPolicy", policy, "requires indexed completion mode");
    return;
  }
  const Path rules_path = path / "successPolicy" / "rules";
  const Json& rules = policy["rules"];
  if (rules.empty()) findings.required(rules_path, "at least one rules must be specified");
  if (rules.size() > kRulesMax) findings.too_many(rules_path, rules.size(), kRulesMax);
  size_t index = 0;
  for (const Json& rule : rules.items()) {
    check_success_rule(findings, rules_path[index++], rule, spec["completions"].as_int());
  }
}

void check_managed_by(Findings& findings, const Path& path, const Json& value) {
  if (value.is_null()) return;
  const std::string& text = value.as_string();
  const size_t slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size() ||
      !check_dns1123_subdomain(text.substr(0, slash)).empty()) {
    findings.invalid(path, value, "must be a domain-prefixed path (such as \"acme.io/foo\")");
  }
  constexpr size_t kManagerBytesMax = 63;
  if (text.size() > kManagerBytesMax) findings.too_long(path, kManagerBytesMax);
}

void check_template(Findings& findings, const Path& path, const Json& spec) {
  const Json& pod_template = spec["template"];
  auto selector = LabelSelector::from_object(spec["selector"]);
  if (spec["selector"].is_null()) {
    findings.required(path / "selector");
  } else if (const Json& labels = spec["selector"]["matchLabels"];
             !spec["manualSelector"].as_bool() &&
             !(labels.size() == 1 && labels.contains("batch.kubernetes.io/controller-uid"))) {
    findings.invalid(path / "selector", spec["selector"], "`selector` not auto-generated");
  }
  if (selector.ok() && !selector->matches(pod_template["metadata"]["labels"])) {
    findings.invalid(path / "template" / "metadata" / "labels", pod_template["metadata"]["labels"],
                     "`selector` does not match template `labels`");
  }
  check_label_selector(findings, path / "selector", spec["selector"]);
  validate_pod_template(findings, path / "template", pod_template);
  if (pod_template["spec"]["restartPolicy"].as_string() == "Always") {
    findings.required(path / "template" / "spec" / "restartPolicy",
                      "valid values: \"OnFailure\", \"Never\"");
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
void check_completions_update(Findings& findings, const Path& path, const Json& before,
                              const Json& after) {
  if (!is_indexed(after)) {
    check_immutable(findings, path, before["completions"], after["completions"]);
    return;
  }
  if (after["completions"].is_null() || after["completions"] == before["completions"]) return;
  if (after["completions"] != after["parallelism"]) {
    findings.invalid(path, after["completions"],
                     "can only be modified in tandem with spec.parallelism");
  }
}

// What must hold of a Job's conditions among themselves, and with its other status.
void check_job_conditions(Findings& findings, const Json& before, const Json& after) {
  const Path path("status.conditions");
  const Json& status = after["status"];
  const Json& conditions = status["conditions"];
  const bool is_complete = is_condition_true(after, "Complete");
  const bool is_failed = is_condition_true(after, "Failed");
  const bool meets_criteria = is_condition_true(after, "SuccessCriteriaMet");
  const bool is_target = is_condition_true(after, "FailureTarget");
  const auto refuse = [&](bool is_wrong, const char* why) {
    if (is_wrong) findings.invalid(path, conditions, why);
  };
  if ((is_complete || is_failed) && status["active"].as_int() > 0) {
    findings.invalid(Path("status.active"), status["active"],
                     "active>0 is invalid for finished job");
  }
  if (is_complete && !status["completionTime"].is_string()) {
    findings.required(Path("status.completionTime"),
                      "completionTime is required for Complete jobs");
  } else if (!is_complete && status["completionTime"].is_string()) {
    findings.invalid(Path("status.completionTime"), status["completionTime"],
                     "cannot set completionTime when there is no Complete=True condition");
  }
  refuse(is_complete && !meets_criteria,
         "cannot set Complete=True condition without "
         "SuccessCriteriaMet=True");
  refuse(is_failed && !is_target, "cannot set Failed=True condition without FailureTarget=True");
  refuse(is_complete && is_failed, "cannot set Complete=True and Failed=True conditions");
  refuse(is_complete && is_target, "cannot set Complete=True and FailureTarget=True conditions");
  refuse(is_failed && meets_criteria,
         "cannot set Failed=True and SuccessCriteriaMet=True conditions");
  for (const char* type : {"Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"}) {
    refuse(is_condition_true(before, type) && !is_condition_true(after, type),
           "cannot disable a condition that ends a Job");
  }
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
  for (const char* field : {"backoffLimitPerIndex", "maxFailedIndexes"}) {
    if (is_indexed(spec) || spec[field].is_null()) continue;
    findings.invalid(path / field, spec[field], "requires indexed completion mode");
  }
  if (spec["backoffLimitPerIndex"].is_null() && !spec["maxFailedIndexes"].is_null()) {
    findings.required(path / "backoffLimitPerIndex", "when maxFailedIndexes is specified");
  }
  check_template(findings, path, spec);
  check_failure_policy(findings, path, spec);
  check_success_policy(findings, path, spec);
  check_managed_by(findings, path / "managedBy", spec["managedBy"]);
}

void validate_job_update(Findings& findings, const Json& before, const Json& after) {
  const Json& old_spec = before["spec"];
  const Json& new_spec = after["spec"];
  const Path path("spec");
  for (const char* field : {"selector", "completionMode", "podFailurePolicy",
                            "backoffLimitPerIndex", "successPolicy", "managedBy"}) {
    check_immutable(findings, path / field, old_spec[field], new_spec[field]);
  }
  check_completions_update(findings, path / "completions", old_spec, new_spec);
  const bool is_open = is_template_open(before);
  const Json& old_template = old_spec["template"];
  const Json& new_template = new_spec["template"];
  const bool is_same = is_open
                           ? without_scheduling(old_template) == without_scheduling(new_template)
                           : old_template == new_template;
  if (is_same) return;
  const Path at = is_open ? path / "template" / "spec" : path / "template";
  findings.invalid(at, new_template, "field is immutable");
}

void validate_job_status(Findings& findings, const Json& before, const Json& after) {
  const Path path("status");
  const Json& status = after["status"];
  for (const char* field : {"active", "ready", "succeeded", "failed", "terminating"}) {
    check_at_least(findings, path / field, status[field], 0);
  }
  if (status["ready"].as_int() > status["active"].as_int()) {
    findings.invalid(path / "ready", status["ready"], "cannot set more ready pods than active");
  }
  for (const char* field : {"succeeded", "failed"}) {
    if (status[field].as_int() < before["status"][field].as_int()) {
      findings.invalid(path / field, status[field], "cannot decrease the counter");
    }
  }
  check_job_conditions(findings, before, after);
}

}  // namespace pelton::api
