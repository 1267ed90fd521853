// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/leader/decide_lease.h"

#include <algorithm>

namespace pelton::decide::workload {

using base::Duration;
using base::Json;

const std::string& holder_of(const Json& lease) {
  return lease["spec"]["holderIdentity"].as_string();
}

LeaseDecision decide_lease(const LeaseObserved& observed, const LeaseContender& self,
                           base::Instant now) {
  LeaseDecision out;
  const std::string time = base::format_micro_time(now);
  if (observed.lease == nullptr) {
    out.verb = LeaseDecision::Verb::Create;
    out.lease = Json::object({{"apiVersion", "coordination.k8s.io/v1"}, {"kind", "Lease"}});
    out.lease.make("metadata.name") = self.name;
    out.lease.make("metadata.namespace") = self.namespace_name;
    out.lease.make("spec.acquireTime") = time;
    out.lease.make("spec.leaseTransitions") = 0;
  } else {
    const std::string& holder = holder_of(*observed.lease);
    const bool is_ours = holder == self.identity;
    const auto lasts =
        Duration::seconds((*observed.lease)["spec"]["leaseDurationSeconds"].as_int());
    if (!is_ours && !holder.empty() && observed.unchanged_for < lasts) {
      out.holder = holder;
      return out;
    }
    out.verb = LeaseDecision::Verb::Update;
    out.lease = *observed.lease;
    if (!is_ours) {
      out.lease.make("spec.acquireTime") = time;
      out.lease.make("spec.leaseTransitions") =
          (*observed.lease)["spec"]["leaseTransitions"].as_int() + 1;
    }
  }
  out.lease.make("spec.holderIdentity") = self.identity;
  out.lease.make("spec.leaseDurationSeconds") =
      std::max<int64_t>(self.duration.ns() / Duration::seconds(1).ns(), 1);
  out.lease.make("spec.renewTime") = time;
  return out;
}

Json released(Json lease, base::Instant now) {
  lease.child("spec").erase("holderIdentity");  // an empty one is not valid
  lease.make("spec.leaseDurationSeconds") = 1;
  lease.make("spec.renewTime") = base::format_micro_time(now);
  return lease;
}

}  // namespace pelton::decide::workload
