// SPDX-License-Identifier: Apache-2.0
#include "scenario/workload.h"

#include <fmt/format.h>

#include "api/object.h"
#include "base/strings.h"

#include "decide/recovery/records.h"

namespace pelton::scenario {
namespace {

using base::Json;

/// Which entry of the scenario's workload a pod came from.
constexpr const char* kEntryLabel = "pelton.dev/workload";

Json pod_template(const Spec& spec, const WorkloadSpec& workload, size_t entry) {
  Json limits = Json::object();
  if (!spec.accelerators.empty() && workload.accelerators > 0) {
    limits.set(spec.accelerators.begin()->first, std::to_string(workload.accelerators));
  }
  const Json container = Json::object(
      {{"name", "main"}, {"image", "busybox"}, {"resources", Json::object({{"limits", limits}})}});
  return Json::object(
      {{"metadata",
        Json::object({{"labels", Json::object({{kEntryLabel, std::to_string(entry)}})}})},
       {"spec",
        Json::object({{"restartPolicy", "Never"}, {"containers", Json::array({container})}})}});
}

Json policy_of(const TrainingSpec& training, const std::string& name) {
  Json spec = Json::object({{"spares", training.spares}});
  if (training.min_replicas > 0) spec.set("minReplicas", training.min_replicas);
  if (training.memory_every > 0) spec.set("memoryReplicas", training.memory_replicas);
  return Json::object({{"apiVersion", "pelton.dev/v1alpha1"},
                       {"kind", "RecoveryPolicy"},
                       {"metadata", Json::object({{"name", name}, {"namespace", "default"}})},
                       {"spec", spec}});
}

}  // namespace

std::vector<WorkloadItem> make_workload(const Spec& spec, base::Rng& rng) {
  std::vector<WorkloadItem> items;
  for (size_t entry = 0; entry < spec.workload.size(); ++entry) {
    const WorkloadSpec& w = spec.workload[entry];
    for (int64_t i = 0; i < w.jobsets; ++i) {
      const int64_t pods = w.pods.draw(rng);
      const Json job = Json::object({{"parallelism", pods},
                                     {"completions", pods},
                                     {"backoffLimit", 0},
                                     {"template", pod_template(spec, w, entry)}});
      const Json replicated =
          Json::object({{"name", "w"}, {"template", Json::object({{"spec", job}})}});
      Json jobset = Json::object(
          {{"apiVersion", "jobset.x-k8s.io/v1alpha2"},
           {"kind", "JobSet"},
           {"metadata",
            Json::object({{"name", fmt::format("js-{}-{}", entry, i)}, {"namespace", "default"}})},
           {"spec",
            Json::object({{"failurePolicy", Json::object({{"maxRestarts", w.max_restarts}})},
                          {"replicatedJobs", Json::array({replicated})}})}});
      Json policy;
      if (w.training) {
        const std::string name = api::name_of(jobset);
        policy = policy_of(*w.training, name);
        jobset.make("metadata.labels").set(decide::recovery::kPolicyLabel, name);
      }
      items.push_back({std::move(jobset), std::move(policy), w.arrive.draw(rng)});
    }
  }
  return items;
}

Json make_job(const Spec& spec, const std::string& name, int64_t parallelism) {
  const WorkloadSpec workload = spec.workload.empty() ? WorkloadSpec() : spec.workload.front();
  return Json::object({{"apiVersion", "batch/v1"},
                       {"kind", "Job"},
                       {"metadata", Json::object({{"name", name}, {"namespace", "default"}})},
                       {"spec", Json::object({{"parallelism", parallelism},
                                              {"completions", 40},
                                              {"backoffLimit", 1000},
                                              {"template", pod_template(spec, workload, 0)}})}});
}

const TrainingSpec* training_of(const Spec& spec, const Json& pod) {
  auto entry = base::parse_int(api::label_of(pod, kEntryLabel));
  if (!entry.ok() || static_cast<size_t>(*entry) >= spec.workload.size()) return nullptr;
  const auto& training = spec.workload[static_cast<size_t>(*entry)].training;
  return training ? &*training : nullptr;
}

PodBehaviour draw_behaviour(const Spec& spec, const Json& pod, base::Rng rng) {
  auto entry = base::parse_int(api::label_of(pod, kEntryLabel));
  if (!entry.ok() || static_cast<size_t>(*entry) >= spec.workload.size()) return {};
  const WorkloadSpec& w = spec.workload[static_cast<size_t>(*entry)];
  PodBehaviour behaviour;
  behaviour.run = w.run.draw(rng);
  behaviour.exit_code = rng.chance(w.failing) ? 1 : 0;
  return behaviour;
}

}  // namespace pelton::scenario
