// SPDX-License-Identifier: Apache-2.0
#include "control/job_reconciler.h"

#include <utility>

#include "api/object.h"
#include "control/workload_plan.h"
#include "decide/workload/job/decide_job.h"
#include "decide/workload/job/pods.h"

namespace pelton::control {

using base::Json;
namespace workload = decide::workload;

Keys JobReconciler::keys_of(const Json& object, const CacheView&) const {
  Keys keys = keys_of_self_or_controller(object, "Job");
  // A pod that has been orphaned names its Job by label alone.
  const std::string& job = api::label_of(object, workload::kJobNameLabel);
  if (keys.empty() && !job.empty()) keys.push_back({api::namespace_of(object), job});
  return keys;
}

Plan JobReconciler::reconcile(const Key& key, const CacheView& view, base::Instant now) const {
  workload::JobObserved observed;
  observed.job = view.get("Job", key.namespace_name, key.name);
  std::vector<const Json*> strays;
  for (const Json* pod : view.list_labelled("Pod", workload::kJobNameLabel, key.name)) {
    if (api::namespace_of(*pod) != key.namespace_name) continue;
    const bool is_own = observed.job != nullptr && api::is_controlled_by(*pod, *observed.job);
    if (!is_own) strays.push_back(pod);
  }
  Plan plan;
  if (observed.job != nullptr) {
    for (const Json* pod : view.list_owned_by("Pod", api::uid_of(*observed.job))) {
      if (api::is_controlled_by(*pod, *observed.job)) observed.pods.push_back(pod);
    }
    plan = to_plan(workload::decide_job(observed, options_, now));
  }
  append(plan, workload::decide_orphaned_job_pods(strays));
  return plan;
}

}  // namespace pelton::control
