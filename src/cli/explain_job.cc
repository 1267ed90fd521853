// SPDX-License-Identifier: Apache-2.0
#include "cli/explain_job.h"

#include <fmt/format.h>

#include "api/object.h"
#include "api/pod_resources.h"
#include "client/cache.h"
#include "control/observe_recovery.h"
#include "decide/recovery/decide_recovery.h"
#include "decide/recovery/records.h"

namespace pelton::cli {
namespace {

using base::Json;
namespace recovery = decide::recovery;

const Json* find(const Json::Array& all, const std::string& namespace_name,
                 const std::string& name) {
  for (const Json& object : all) {
    if (api::namespace_of(object) == namespace_name && api::name_of(object) == name) return &object;
  }
  return nullptr;
}

std::string ranks_of(const recovery::Generation& generation, size_t index) {
  const int first = generation.first_rank_of(index);
  const int last = first + generation.members[index].ranks - 1;
  return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
}

/// Each pod of the job: its ranks in the generation (a spare has none) and its supervisor's word.
Json pods_of(const recovery::Generation& generation, const std::string& jobset_uid,
             const Json::Array& pods) {
  Json::Array rows;
  for (const Json& pod : pods) {
    if (api::label_of(pod, "jobset.sigs.k8s.io/jobset-uid") != jobset_uid) continue;
    const auto index = generation.index_of(api::uid_of(pod));
    const recovery::PodReport report = recovery::report_in(pod);
    const bool has_joined = api::find_condition(pod, recovery::kWorkersCondition) != nullptr;
    rows.push_back(
        Json::object({{"pod", api::name_of(pod)},
                      {"node", pod["spec"]["nodeName"].as_string()},
                      {"ranks", index ? ranks_of(generation, *index) : ""},
                      {"stage", has_joined ? recovery::stage_name(report.stage) : "NotJoined"},
                      {"generation", report.generation},
                      {"lastStep", report.last_step}}));
  }
  return rows;
}

/// What the controller would say now; "" where it waits for nothing, or is about to act.
std::string decision_waits_for(const JobObjects& objects, const Json& policy, const Json& jobset,
                               base::Instant now) {
  const auto spec = recovery::policy_of(policy["spec"]);
  if (!spec.ok()) return spec.error().message();
  client::Cache view;
  for (const Json::Array* all : {&objects.pods, &objects.nodes}) {
    for (const Json& object : *all) view.put(object);
  }
  control::RecoveryMemo memo;
  const recovery::Observed observed = control::observe_recovery(
      policy, *spec, recovery::node_memories_of(policy["status"]["nodes"]), jobset, view, memo);
  return recovery::decide_recovery(observed, now).waits_for;
}

/// Pods of the job that have no place yet, and members that have not begun its generation.
void add_pods_waited_for(const Json::Array& pods, const recovery::Generation& generation,
                         const std::string& jobset_uid, Json::Array& waits) {
  for (const Json& pod : pods) {
    if (api::label_of(pod, "jobset.sigs.k8s.io/jobset-uid") != jobset_uid) continue;
    const Json* scheduled = api::find_condition(pod, "PodScheduled");
    if (pod["spec"]["nodeName"].as_string().empty() && scheduled != nullptr) {
      waits.push_back(fmt::format("a place for pod {}: {}", api::name_of(pod),
                                  (*scheduled)["message"].as_string()));
    }
    const bool runs = generation.phase == recovery::Generation::Phase::Running;
    if (runs && generation.index_of(api::uid_of(pod)) && !api::has_ended(pod) &&
        recovery::report_in(pod).generation < generation.number) {
      waits.push_back(fmt::format("pod {} on {} to begin generation {}", api::name_of(pod),
                                  pod["spec"]["nodeName"].as_string(), generation.number));
    }
  }
}

Json waits_of(const JobObjects& objects, const Json& policy, const Json& jobset,
              const recovery::Generation& generation, base::Instant now) {
  using enum recovery::Generation::Phase;
  if (generation.phase == Finished || generation.phase == Failed) return Json::array();
  Json::Array waits;
  const std::string decided = decision_waits_for(objects, policy, jobset, now);
  if (!decided.empty()) waits.push_back(decided);
  add_pods_waited_for(objects.pods, generation, api::uid_of(jobset), waits);
  return waits;
}

}  // namespace

base::Result<Json> explain_job(const JobObjects& objects, const std::string& namespace_name,
                               const std::string& name, base::Instant now) {
  const Json* jobset = find(objects.jobsets, namespace_name, name);
  if (jobset == nullptr) {
    return base::Status(
        base::Code::NotFound,
        fmt::format("there is no JobSet {}/{}: see kubectl get jobsets -A", namespace_name, name));
  }
  const std::string& policy_name = api::label_of(*jobset, recovery::kPolicyLabel);
  if (policy_name.empty()) {
    return base::Status(base::Code::NotFound,
                        fmt::format("JobSet {}/{} names no RecoveryPolicy: label it {}=NAME",
                                    namespace_name, name, recovery::kPolicyLabel));
  }
  const Json* policy = find(objects.policies, namespace_name, policy_name);
  if (policy == nullptr) {
    return base::Status(base::Code::NotFound,
                        fmt::format("JobSet {}/{} names RecoveryPolicy {}, which is not there: "
                                    "create it, or take the label {} off",
                                    namespace_name, name, policy_name, recovery::kPolicyLabel));
  }
  Json result = Json::object({{"namespace", namespace_name},
                              {"name", name},
                              {"policy", policy_name},
                              {"budget", (*policy)["spec"]["budget"]}});
  recovery::Generation generation;
  for (const Json& entry : (*policy)["status"]["jobSets"].items()) {
    if (entry["uid"].as_string() != api::uid_of(*jobset)) continue;
    for (const Json::Member& member : entry.members()) result.set(member.name, member.value);
    auto read = recovery::generation_of(entry["generation"]);
    if (read.ok()) generation = *std::move(read);
  }
  result.set("pods", pods_of(generation, api::uid_of(*jobset), objects.pods));
  result.set("waitsFor", waits_of(objects, *policy, *jobset, generation, now));
  return result;
}

std::string job_text(const Json& job) {
  const Json& generation = job["generation"];
  std::string text = fmt::format("job {}/{}, RecoveryPolicy {}: ", job["namespace"].as_string(),
                                 job["name"].as_string(), job["policy"].as_string());
  if (generation.is_null()) {
    text += "no generation yet: its pods have not all joined\n";
  } else {
    text += fmt::format("generation {} {}, at most {} ranks\n", generation["number"].as_int(),
                        generation["phase"].as_string(), job["fullWorldSize"].as_int());
  }
  text += fmt::format("{:<8}{:<40}{:<20}{:<11}{}\n", "RANKS", "POD", "NODE", "STAGE", "STEP");
  for (const Json& pod : job["pods"].items()) {
    const std::string& ranks = pod["ranks"].as_string();
    const int64_t step = pod["lastStep"].as_int(-1);
    text += fmt::format("{:<8}{:<40}{:<20}{:<11}{}\n", ranks.empty() ? "spare" : ranks,
                        pod["pod"].as_string(), pod["node"].as_string(), pod["stage"].as_string(),
                        step < 0 ? "-" : std::to_string(step));
  }
  for (const Json& each : job["waitsFor"].items()) {
    text += fmt::format("waits for: {}\n", each.as_string());
  }
  const Json& last = job["lastDecision"];
  if (!last.is_null()) {
    text += fmt::format("last decision: {} at {}: {}\n", last["rung"].as_string(),
                        last["at"].as_string(), last["reason"].as_string());
  }
  for (const Json& each : last["alternatives"].items()) {
    text += fmt::format("  {:<15}{:>12.1f} accelerator-seconds  {}{}\n", each["rung"].as_string(),
                        each["lostAcceleratorSeconds"].as_double(),
                        each["possible"].as_bool() ? "" : "impossible: ", each["why"].as_string());
  }
  const Json& budget = job["budget"];
  text += fmt::format(
      "budget per {} s: {} generations, {} pod replacements ({} recorded), {} quarantines\n",
      budget["windowSeconds"].as_int(), budget["generations"].as_int(),
      budget["podReplacements"].as_int(), job["replaced"].size(), budget["quarantines"].as_int());
  for (const Json& condition : job["conditions"].items()) {
    if (condition["status"].as_string() == "True") continue;
    text +=
        fmt::format("{}: {}\n", condition["reason"].as_string(), condition["message"].as_string());
  }
  return text;
}

}  // namespace pelton::cli
