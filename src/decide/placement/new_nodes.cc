// SPDX-License-Identifier: Apache-2.0
#include "decide/placement/new_nodes.h"

#include <algorithm>
#include <optional>
#include <tuple>

#include "base/strings.h"
#include "decide/placement/filters.h"

namespace pelton::decide::placement {

using base::Json;
using Operator = api::LabelSelector::Operator;

namespace {

constexpr const char* kHostname = "kubernetes.io/hostname";

/// Labels that meet the requirements, where single values can; whether they do is checked after.
void meet(const api::LabelSelector& selector, Json& labels) {
  for (const auto& requirement : selector.requirements()) {
    const std::string first = requirement.values.empty() ? "" : requirement.values.front();
    const auto number = base::parse_int(first);
    if (labels.contains(requirement.key)) continue;
    if (requirement.op == Operator::In) labels.set(requirement.key, first);
    if (requirement.op == Operator::Exists) labels.set(requirement.key, "true");
    if (!number.ok()) continue;
    if (requirement.op == Operator::GreaterThan) {
      labels.set(requirement.key, std::to_string(*number + 1));
    }
    if (requirement.op == Operator::LessThan) {
      labels.set(requirement.key, std::to_string(*number - 1));
    }
  }
}

/// What the smallest node that could hold the shape has, or just what the shape asks for.
Amounts size_for(const Observed& observed, const Shape& shape) {
  const auto holds = [&](const Amounts& all) {
    return std::all_of(shape.requests.begin(), shape.requests.end(), [&](const auto& need) {
      auto it = all.find(need.first);
      return it != all.end() && it->second >= need.second;
    });
  };
  const auto size = [](const Amounts& all) {
    int64_t accelerators = 0;
    for (const auto& [resource, amount] : all) {
      if (is_accelerator(resource)) accelerators += amount;
    }
    auto cpu = all.find("cpu");
    return std::tuple(accelerators, cpu == all.end() ? 0 : cpu->second);
  };
  const Amounts* best = nullptr;
  for (const Node& node : observed.nodes) {
    if (!holds(node.allocatable)) continue;
    if (best == nullptr || size(node.allocatable) < size(*best)) best = &node.allocatable;
  }
  Amounts out = best != nullptr ? *best : shape.requests;
  out.try_emplace("pods", 1);
  return out;
}

/// The domain in which pods of the term are now, or nullopt.
std::optional<std::string> present_domain(const Observed& observed, size_t term) {
  for (const Resident& resident : observed.residents) {
    if (!std::binary_search(resident.matches.begin(), resident.matches.end(), term)) continue;
    const Json* value =
        observed.nodes[resident.node].labels.find(observed.terms[term].topology_key);
    if (value != nullptr) return value->as_string();
  }
  return std::nullopt;
}

Node new_node(const Observed& observed, const Pod& pod, size_t number) {
  const Shape& shape = observed.shapes[pod.shape];
  Node node;
  node.name = "new-" + std::to_string(number);
  node.allocatable = size_for(observed, shape);
  Json& labels = node.labels = Json::object();
  meet(shape.node_selector, labels);
  if (!shape.affinity.empty()) {
    const auto usable = std::find_if(shape.affinity.begin(), shape.affinity.end(),
                                     [](const NodeTerm& term) { return !term.is_empty; });
    if (usable != shape.affinity.end()) {
      meet(usable->labels, labels);
      Json name = Json::object();
      meet(usable->fields, name);
      if (name.contains("metadata.name")) node.name = name["metadata.name"].as_string();
    }
  }
  for (const auto& group : shape.near) {
    for (const size_t term : group) {
      const std::string& key = observed.terms[term].topology_key;
      if (labels.contains(key) || key == kHostname) continue;
      // A new domain for all pods of the term: its number names it.
      labels.set(key, present_domain(observed, term).value_or("new-" + std::to_string(term)));
    }
  }
  const auto set_own = [&](size_t term) {
    const std::string& key = observed.terms[term].topology_key;
    if (!labels.contains(key) && key != kHostname) labels.set(key, node.name);
  };
  for (const size_t term : shape.apart) set_own(term);
  for (const Spread& spread : shape.spreads) set_own(spread.term);
  labels.set(kHostname, node.name);
  return node;
}

}  // namespace

std::vector<Node> new_nodes_for(const Observed& observed, const PodIndexes& unit) {
  std::vector<Node> out;
  for (const size_t i : unit) {
    Node node = new_node(observed, observed.pending[i], out.size() + 1);
    if (!selects_node(observed.shapes[observed.pending[i].shape], node)) return {};
    const bool is_known = std::any_of(observed.nodes.begin(), observed.nodes.end(),
                                      [&](const Node& other) { return other.name == node.name; });
    if (is_known) return {};  // bound to a name that is taken
    out.push_back(std::move(node));
  }
  return out;
}

}  // namespace pelton::decide::placement
