// SPDX-License-Identifier: Apache-2.0
#include "control/endpoint_slice_reconciler.h"

#include "api/object.h"
#include "api/selector.h"
#include "control/workload_plan.h"
#include "decide/workload/endpoints/decide_endpoints.h"

namespace pelton::control {

using base::Json;
namespace workload = decide::workload;

Keys EndpointSliceReconciler::keys_of(const Json& object, const CacheView& view) const {
  if (object["kind"].as_string() != "Pod") return keys_of_self_or_controller(object, "Service");
  Keys keys;
  for (const Json* service : view.list("Service", api::namespace_of(object))) {
    if (!workload::has_selected_endpoints(*service)) continue;
    const auto selector = api::LabelSelector::from_map((*service)["spec"]["selector"]);
    if (selector.matches(api::labels_of(object))) keys.push_back(own_key(*service));
  }
  return keys;
}

Plan EndpointSliceReconciler::reconcile(const Key& key, const CacheView& view,
                                        base::Instant) const {
  workload::EndpointsObserved observed;
  observed.service = view.get("Service", key.namespace_name, key.name);
  if (observed.service == nullptr) return {};
  const Json& service = *observed.service;
  if (!workload::has_selected_endpoints(service)) return {};
  observed.pods = view.list("Pod", key.namespace_name,
                            api::LabelSelector::from_map(service["spec"]["selector"]));
  observed.slices = view.list_owned_by("EndpointSlice", api::uid_of(service));
  return to_plan(workload::decide_endpoints(observed));
}

}  // namespace pelton::control
