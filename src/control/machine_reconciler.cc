// SPDX-License-Identifier: Apache-2.0
#include "control/machine_reconciler.h"

#include <utility>

#include "api/object.h"
#include "decide/capacity/decide_machines.h"

namespace pelton::control {

using base::Json;
namespace capacity = decide::capacity;

namespace {

/// A machine that has not come by then is asked for again.
constexpr base::Duration kAskAgain = base::Duration::seconds(10);

void nominate(const capacity::Nomination& nomination, const CacheView& view, Plan& plan) {
  const Json* pod = view.get("Pod", nomination.namespace_name, nomination.pod_name);
  if (pod == nullptr) return;
  Patch patch;
  patch.key = client::key_of(*pod);
  patch.subresource = "status";
  patch.uid = nomination.pod_uid;
  patch.patch.make("status.nominatedNodeName") =
      nomination.node_name.empty() ? Json() : Json(nomination.node_name);
  plan.commands.emplace_back(std::move(patch));
  if (nomination.node_name.empty()) return;
  plan.commands.emplace_back(EmitEvent{api::make_object_reference(*pod), false, "TriggeredScaleUp",
                                       "pod triggered scale-up: " + nomination.node_name});
}

}  // namespace

std::vector<std::string> MachineReconciler::watched_kinds() const {
  return {"Job", "JobSet", "Namespace", "Node", "Pod"};
}

Keys MachineReconciler::keys_of(const Json&, const CacheView&) const {
  return {{"", "cluster"}};
}

Plan MachineReconciler::reconcile(const Key&, const CacheView& view, base::Instant) const {
  Plan plan;
  if (view.list_pods_on("").empty()) return plan;
  capacity::Observed observed{{view.list("Node"), view.list("Pod"), view.list("Job"),
                               view.list("JobSet"), view.list("Namespace")},
                              {}};
  for (const Json& offer : offers_) observed.offers.push_back(&offer);
  const capacity::Decision decision = capacity::decide_machines(observed);
  for (const capacity::Nomination& nomination : decision.nominations) {
    nominate(nomination, view, plan);
  }
  // Only what is written on a pod by then is asked for.
  for (const std::string& machine : decision.machines) {
    plan.commands.emplace_back(CreateMachine{machine});
    if (plan.reason.empty()) plan.reason = "pods wait for " + machine;
  }
  if (!decision.machines.empty()) plan.requeue_after = kAskAgain;
  return plan;
}

}  // namespace pelton::control
