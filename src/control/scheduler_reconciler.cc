// SPDX-License-Identifier: Apache-2.0
#include "control/scheduler_reconciler.h"

#include <algorithm>
#include <utility>

#include "api/object.h"
#include "decide/placement/decide_placement.h"

namespace pelton::control {

using base::Json;
namespace placement = decide::placement;

namespace {

Command bind_command(const placement::Placement& placed) {
  std::vector<PodBinding> bindings;
  for (const placement::Binding& b : placed.bindings) {
    bindings.push_back({b.pod_name, b.pod_uid, b.node_name});
  }
  if (bindings.size() == 1) return Bind{placed.namespace_name, bindings.front()};
  return GangBind{placed.namespace_name, placed.gang_name, std::move(bindings)};
}

/// A gang's pods come one by one: that some are still missing is worth a word only after this.
constexpr base::Duration kGatheringTime = base::Duration::seconds(3);
/// The numbers in a reason change with every pod that comes or goes; they are told this often.
constexpr base::Duration kRepeatTime = base::Duration::seconds(10);

/// How long to keep silent about what is to be said now; negative or zero: say it.
base::Duration silence_left(const Json& pod, const Json* present, bool is_waiting,
                            base::Instant now) {
  if (present != nullptr && (*present)["status"].as_string() == "False") {
    auto told = base::parse_time((*present)["lastProbeTime"].as_string());
    return told.ok() ? *told + kRepeatTime - now : base::Duration();
  }
  return is_waiting ? api::creation_time_of(pod) + kGatheringTime - now : base::Duration();
}

/// Condition and event, where they would say something new, and it is time to.
void tell_unplaced(const placement::Unplaced& unplaced, const CacheView& view, base::Instant now,
                   Plan& plan) {
  const Json* pod = view.get("Pod", unplaced.namespace_name, unplaced.pod_name);
  if (pod == nullptr) return;
  const std::string message = unplaced.why.message();
  const Json* present = api::find_condition(*pod, "PodScheduled");
  if (present != nullptr && (*present)["status"].as_string() == "False" &&
      (*present)["message"].as_string() == message) {
    return;
  }
  const base::Duration left = silence_left(*pod, present, unplaced.why.is_waiting, now);
  if (left > base::Duration()) {
    plan.requeue_after = std::min(left, plan.requeue_after.value_or(left));
    return;
  }
  Json changed = *pod;
  api::set_condition(changed, {"PodScheduled", "False", "Unschedulable", message}, now);
  Json condition = *api::find_condition(changed, "PodScheduled");
  condition.set("lastProbeTime", base::format_time(now));
  Patch patch;
  patch.key = client::key_of(*pod);
  patch.type = PatchType::StrategicMerge;
  patch.subresource = "status";
  patch.uid = unplaced.pod_uid;
  patch.patch.make("status.conditions").push_back(std::move(condition));
  plan.commands.emplace_back(std::move(patch));
  plan.commands.emplace_back(
      EmitEvent{api::make_object_reference(*pod), true, "FailedScheduling", message});
}

void tell_bound(const placement::Placement& placed, const CacheView& view,
                std::vector<Command>& commands) {
  for (const placement::Binding& binding : placed.bindings) {
    const Json* pod = view.get("Pod", placed.namespace_name, binding.pod_name);
    if (pod == nullptr) continue;
    commands.emplace_back(EmitEvent{api::make_object_reference(*pod), false, "Scheduled",
                                    "Successfully assigned " + placed.namespace_name + "/" +
                                        binding.pod_name + " to " + binding.node_name});
  }
}

}  // namespace

std::vector<std::string> SchedulerReconciler::watched_kinds() const {
  return {"Job", "JobSet", "Namespace", "Node", "Pod"};
}

Keys SchedulerReconciler::keys_of(const Json&, const CacheView&) const {
  return {{"", "cluster"}};
}

Plan SchedulerReconciler::reconcile(const Key&, const CacheView& view, base::Instant now) const {
  Plan plan;
  if (view.list_pods_on("").empty()) return plan;
  const placement::Decision decision = placement::decide_placement(
      placement::observe({view.list("Node"), view.list("Pod"), view.list("Job"),
                          view.list("JobSet"), view.list("Namespace")}));
  // All bindings before any talk, so that a crash or a failure in between delays no pod.
  for (const placement::Placement& placed : decision.placements) {
    plan.commands.push_back(bind_command(placed));
    if (plan.reason.empty()) plan.reason = placed.reason;
  }
  for (const placement::Placement& placed : decision.placements) {
    tell_bound(placed, view, plan.commands);
  }
  for (const placement::Unplaced& unplaced : decision.unplaced) {
    tell_unplaced(unplaced, view, now, plan);
    if (!plan.commands.empty() && plan.reason.empty()) plan.reason = unplaced.why.message();
  }
  return plan;
}

}  // namespace pelton::control
