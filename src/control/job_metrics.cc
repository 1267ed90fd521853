// SPDX-License-Identifier: Apache-2.0
#include "control/job_metrics.h"

#include "api/object.h"
#include "decide/goodput/job_metrics.h"
#include "decide/recovery/records.h"
#include "decide/workload/jobset/children.h"

namespace pelton::control {

namespace goodput = decide::goodput;
using base::Json;

base::Result<std::string> job_metrics(const client::Cache& view, base::Instant now) {
  for (const char* kind : {"JobSet", "Pod", "RecoveryPolicy"}) {
    if (view.is_synced(kind)) continue;
    return base::unavailable(std::string("the controllers have not listed all ") + kind +
                             "s yet: ask again in a moment");
  }
  static const Json kNone;
  std::vector<goodput::JobMetrics> jobs;
  for (const Json* jobset : view.list("JobSet")) {
    const std::string& name = api::label_of(*jobset, decide::recovery::kPolicyLabel);
    if (name.empty()) continue;
    const Json* policy = view.get("RecoveryPolicy", api::namespace_of(*jobset), name);
    const Json& record = policy == nullptr ? kNone : goodput::record_of(*policy, *jobset);
    const auto pods = view.list_labelled("Pod", decide::workload::kJobSetUid, api::uid_of(*jobset));
    jobs.push_back(goodput::observe_job(*jobset, record, pods, now));
  }
  return goodput::exposition(jobs);
}

}  // namespace pelton::control
