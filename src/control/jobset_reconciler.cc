// SPDX-License-Identifier: Apache-2.0
#include "control/jobset_reconciler.h"

#include "api/object.h"
#include "control/workload_plan.h"
#include "decide/workload/jobset/children.h"
#include "decide/workload/jobset/decide_jobset.h"

namespace pelton::control {

using base::Json;
namespace workload = decide::workload;

Keys JobSetReconciler::keys_of(const Json& object, const CacheView&) const {
  return keys_of_self_or_controller(object, "JobSet");
}

Plan JobSetReconciler::reconcile(const Key& key, const CacheView& view, base::Instant now) const {
  workload::JobSetObserved observed;
  observed.jobset = view.get("JobSet", key.namespace_name, key.name);
  if (observed.jobset == nullptr) return {};
  const Json& jobset = *observed.jobset;
  for (const Json* job : view.list_owned_by("Job", api::uid_of(jobset))) {
    if (api::is_controlled_by(*job, jobset)) observed.jobs.push_back(job);
  }
  for (const Json& replicated_job : jobset["spec"]["replicatedJobs"].items()) {
    for (int64_t i = 0; i < workload::replicas_of(replicated_job); ++i) {
      const std::string name =
          workload::child_job_name(jobset, replicated_job["name"].as_string(), i);
      const Json* job = view.get("Job", key.namespace_name, name);
      if (job != nullptr && !api::is_controlled_by(*job, jobset)) {
        observed.foreign_jobs.insert(name);
      }
    }
  }
  observed.has_service =
      view.get("Service", key.namespace_name, workload::subdomain_of(jobset)) != nullptr;
  return to_plan(workload::decide_jobset(observed, now));
}

}  // namespace pelton::control
