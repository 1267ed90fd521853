// SPDX-License-Identifier: Apache-2.0
#include "decide/placement/filters.h"

#include <algorithm>

namespace pelton::decide::placement {
namespace {

bool tolerates(const Shape& shape, const Taint& taint) {
  return std::any_of(shape.tolerations.begin(), shape.tolerations.end(),
                     [&](const Toleration& t) { return t.tolerates(taint); });
}

}  // namespace

bool selects_node(const Shape& shape, const Node& node) {
  if (!shape.node_selector.matches(node.labels)) return false;
  return !shape.has_affinity ||
         std::any_of(shape.affinity.begin(), shape.affinity.end(),
                     [&](const NodeTerm& term) { return term.matches(node); });
}

const Taint* untolerated_taint(const Shape& shape, const Node& node) {
  for (const Taint& taint : node.taints) {
    if (taint.effect != "NoSchedule" && taint.effect != "NoExecute") continue;
    if (!tolerates(shape, taint)) return &taint;
  }
  return nullptr;
}

bool is_cordoned_for(const Shape& shape, const Node& node) {
  static const Taint kUnschedulable = {"node.kubernetes.io/unschedulable", "", "NoSchedule"};
  return node.is_unschedulable && !tolerates(shape, kUnschedulable);
}

std::string node_refusal(const Shape& shape, const Node& node) {
  if (is_cordoned_for(shape, node)) return "node(s) were unschedulable";
  if (const Taint* taint = untolerated_taint(shape, node)) {
    return "node(s) had untolerated taint " + taint->to_string();
  }
  if (!node.is_ready) return "node(s) were not ready";
  if (!selects_node(shape, node)) return "node(s) didn't match Pod's node affinity/selector";
  return "";
}

std::pair<int64_t, int64_t> node_dislike(const Shape& shape, const Node& node) {
  int64_t taints = 0;
  for (const Taint& taint : node.taints) {
    if (taint.effect == "PreferNoSchedule" && !tolerates(shape, taint)) ++taints;
  }
  int64_t weight = 0;
  for (const PreferredNodes& preferred : shape.preferred_nodes) {
    if (preferred.term.matches(node)) weight += preferred.weight;
  }
  return {taints, -weight};
}

}  // namespace pelton::decide::placement
