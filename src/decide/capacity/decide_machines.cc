// SPDX-License-Identifier: Apache-2.0
#include "decide/capacity/decide_machines.h"

#include <algorithm>
#include <list>
#include <map>
#include <tuple>
#include <utility>

#include "api/object.h"
#include "decide/placement/decide_placement.h"
#include "decide/placement/unschedulable.h"

namespace pelton::decide::capacity {
namespace {

using base::Json;

/// The machines that are not there: name -> offer. One whose Node was cordoned, or tainted by
/// somebody (a quarantine), is not made again behind their backs.
std::map<std::string, const Json*> absent_machines(const Observed& observed) {
  std::map<std::string, const Json*> absent;
  for (const Json* offer : observed.offers) absent.emplace(api::name_of(*offer), offer);
  for (const Json* node : observed.world.nodes) {
    const Json* ready = api::find_condition(*node, "Ready");
    const auto& taints = (*node)["spec"]["taints"].items();
    const bool is_shunned = (*node)["spec"]["unschedulable"].as_bool() ||
                            std::any_of(taints.begin(), taints.end(), [](const Json& taint) {
                              return !taint["key"].as_string().starts_with("node.kubernetes.io/");
                            });
    // A Node that has just been made does not say what it has yet.
    const bool is_there = ready != nullptr && (*ready)["status"].as_string() == "True";
    if (is_there || is_shunned) absent.erase(api::name_of(*node));
  }
  return absent;
}

/// What has room already comes first, by the scheduler's own weights.
Json as_last_resort(Json node) {
  Json& taints = node.make("spec.taints");
  if (!taints.is_array()) taints = Json::array();
  taints.push_back(Json::object({{"key", "pelton.dev/absent"}, {"effect", "PreferNoSchedule"}}));
  return node;
}

/// pod uid -> node, as if all machines were there.
std::map<std::string, std::string> place(placement::World world,
                                         const std::map<std::string, const Json*>& absent) {
  std::erase_if(world.nodes,
                [&](const Json* node) { return absent.contains(api::name_of(*node)); });
  std::list<Json> machines;
  for (const auto& [name, offer] : absent) {
    world.nodes.push_back(&machines.emplace_back(as_last_resort(*offer)));
  }
  std::map<std::string, std::string> nodes;
  for (const placement::Placement& placed :
       placement::decide_placement(placement::observe(world)).placements) {
    for (const placement::Binding& binding : placed.bindings) {
      nodes.emplace(binding.pod_uid, binding.node_name);
    }
  }
  return nodes;
}

}  // namespace

Decision decide_machines(const Observed& observed) {
  Decision decision;
  placement::Objects waiting;
  for (const Json* pod : observed.world.pods) {
    if (placement::is_unschedulable(*pod) && !api::is_being_deleted(*pod)) waiting.push_back(pod);
  }
  if (waiting.empty() || observed.offers.empty()) return decision;
  const std::map<std::string, const Json*> absent = absent_machines(observed);
  const auto is_ours = [&](const std::string& name) {
    return std::any_of(observed.offers.begin(), observed.offers.end(),
                       [&](const Json* offer) { return api::name_of(*offer) == name; });
  };
  std::map<std::string, std::string> placed;
  bool has_placed = false;
  for (const Json* pod : waiting) {
    const std::string& nominated = (*pod)["status"]["nominatedNodeName"].as_string();
    if (absent.contains(nominated)) {
      decision.machines.insert(nominated);
      continue;
    }
    if (!nominated.empty() && !is_ours(nominated)) continue;  // somebody else's word
    if (!std::exchange(has_placed, true)) placed = place(observed.world, absent);
    const auto found = placed.find(api::uid_of(*pod));
    const bool is_helped = found != placed.end() && absent.contains(found->second);
    const bool is_placed = found != placed.end() && !is_helped;  // the scheduler will come to it
    const std::string node = is_helped ? found->second : "";
    if (is_placed || node == nominated) continue;
    if (is_helped) decision.machines.insert(node);
    decision.nominations.push_back(
        {api::namespace_of(*pod), api::name_of(*pod), api::uid_of(*pod), node});
  }
  std::sort(decision.nominations.begin(), decision.nominations.end(),
            [](const Nomination& a, const Nomination& b) {
              return std::tie(a.namespace_name, a.pod_name) <
                     std::tie(b.namespace_name, b.pod_name);
            });
  return decision;
}

}  // namespace pelton::decide::capacity
