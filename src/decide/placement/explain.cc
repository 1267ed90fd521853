// SPDX-License-Identifier: Apache-2.0
#include "decide/placement/explain.h"

#include <algorithm>

#include "api/object.h"
#include "decide/placement/decide_placement.h"

namespace pelton::decide::placement {

using base::Json;

namespace {

const char* name_of(PodExplanation::State state) {
  switch (state) {
    case PodExplanation::State::Bound:
      return "Bound";
    case PodExplanation::State::Ended:
      return "Ended";
    case PodExplanation::State::Schedulable:
      return "Schedulable";
    case PodExplanation::State::Waiting:
      return "Waiting";
    case PodExplanation::State::Unschedulable:
      return "Unschedulable";
  }
  return "";
}

const Json* find(const Objects& pods, std::string_view namespace_name, std::string_view name) {
  for (const Json* pod : pods) {
    if (api::namespace_of(*pod) == namespace_name && api::name_of(*pod) == name) return pod;
  }
  return nullptr;
}

/// What needs no decision to tell. False: a decision is needed.
bool tell_settled(const Json& pod, PodExplanation& out) {
  const std::string& phase = pod["status"]["phase"].as_string();
  out.node_name = pod["spec"]["nodeName"].as_string();
  if (phase == "Succeeded" || phase == "Failed") {
    out.state = PodExplanation::State::Ended;
    out.message = "the pod has ended (" + phase + ")";
    return true;
  }
  if (!out.node_name.empty()) {
    out.state = PodExplanation::State::Bound;
    out.message = "the pod is bound to node " + out.node_name;
    return true;
  }
  return false;
}

}  // namespace

base::Result<PodExplanation> explain_pod(const World& world, std::string_view namespace_name,
                                         std::string_view pod_name) {
  const Json* pod = find(world.pods, namespace_name, pod_name);
  if (pod == nullptr) {
    return base::not_found("there is no pod \"" + std::string(pod_name) + "\" in namespace \"" +
                           std::string(namespace_name) + "\"");
  }
  PodExplanation out;
  out.namespace_name = namespace_name;
  out.pod_name = pod_name;
  out.gang_name = api::label_of(*pod, kJobSetNameLabel);
  if (tell_settled(*pod, out)) return out;
  const Observed observed = observe(world);
  const Decision decision = decide_placement(observed);
  for (const Placement& placement : decision.placements) {
    if (placement.namespace_name != namespace_name) continue;
    for (const Binding& binding : placement.bindings) {
      if (binding.pod_name != pod_name) continue;
      out.state = PodExplanation::State::Schedulable;
      out.node_name = binding.node_name;
      out.message = placement.reason + "; it is about to be bound to node " + binding.node_name;
      return out;
    }
  }
  for (const Unplaced& unplaced : decision.unplaced) {
    if (unplaced.namespace_name != namespace_name || unplaced.pod_name != pod_name) continue;
    out.why = unplaced.why;
    out.state = unplaced.why.is_waiting ? PodExplanation::State::Waiting
                                        : PodExplanation::State::Unschedulable;
    out.message = unplaced.why.message();
    out.suggestions = suggest(observed, namespace_name, pod_name);
    return out;
  }
  out.state = PodExplanation::State::Waiting;
  out.message = api::is_being_deleted(*pod)
                    ? "the pod is being deleted"
                    : "the pod asks for the scheduler \"" +
                          (*pod)["spec"]["schedulerName"].as_string() + "\", which is not Pelton's";
  return out;
}

Json PodExplanation::to_json() const {
  Json out = Json::object({{"kind", "Pod"},
                           {"namespace", namespace_name},
                           {"name", pod_name},
                           {"state", placement::name_of(state)},
                           {"message", message}});
  if (!node_name.empty()) out.set("node", node_name);
  if (!gang_name.empty()) out.set("gang", gang_name);
  for (const Suggestion& suggestion : suggestions) {
    out.child("suggestions").push_back(suggestion.to_json());
  }
  if (state != State::Unschedulable) return out;
  out.set("totalNodes", why.total_nodes);
  if (!why.context.empty()) out.set("context", why.context);
  Json constraints = Json::array();
  for (const Misfit& misfit : why.misfits) {
    Json entry = Json::object({{"nodes", misfit.nodes}, {"reason", misfit.reason}});
    if (!misfit.detail.empty()) entry.set("detail", misfit.detail);
    constraints.push_back(std::move(entry));
  }
  out.set("constraints", std::move(constraints));
  return out;
}

}  // namespace pelton::decide::placement
