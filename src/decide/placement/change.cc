// SPDX-License-Identifier: Apache-2.0
#include "decide/placement/change.h"

#include <algorithm>
#include <map>

namespace pelton::decide::placement {

using base::Json;

namespace {

/// What a term is about, told by its refusal: rules of the spec have none.
bool is_of_annotation(const PodTerm& term, const std::string& key) {
  const char* mark = key == kExclusiveTopology ? "(exclusive-topology)" : "(required-topology)";
  return term.refusal.find(mark) != std::string::npos;
}

void change_shape(const Observed& observed, const Change& change, Shape& shape) {
  const auto is_own = [&](size_t term) { return observed.terms[term].refusal.empty(); };
  switch (change.kind) {
    case Change::Kind::LowerRequest: {
      auto it = shape.requests.find(change.resource);
      if (it != shape.requests.end()) it->second = std::min(it->second, change.amount);
      break;
    }
    case Change::Kind::RemoveNodeSelector: {
      api::LabelSelector rest;
      for (const auto& requirement : shape.node_selector.requirements()) {
        if (requirement.key != change.key) rest.add(requirement);
      }
      shape.node_selector = rest;
      break;
    }
    case Change::Kind::RemoveNodeAffinity:
      shape.has_affinity = false;
      shape.affinity.clear();
      break;
    case Change::Kind::RemovePodAffinity:
      std::erase_if(shape.near, [&](const auto& group) { return is_own(group.front()); });
      break;
    case Change::Kind::RemovePodAntiAffinity:
      std::erase_if(shape.apart, is_own);
      break;
    case Change::Kind::RemoveSpread:
      std::erase_if(shape.spreads, [](const Spread& spread) { return spread.is_required; });
      break;
    case Change::Kind::RemoveAnnotation: {
      const auto is_meant = [&](size_t term) {
        return is_of_annotation(observed.terms[term], change.key);
      };
      std::erase_if(shape.near, [&](const auto& group) { return is_meant(group.front()); });
      std::erase_if(shape.apart, is_meant);
      break;
    }
    default:
      break;
  }
}

bool is_of_pods(Change::Kind kind) {
  return kind != Change::Kind::Uncordon && kind != Change::Kind::RemoveTaint &&
         kind != Change::Kind::AddNodes;
}

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

std::string amounts_text(const Amounts& amounts) {
  std::string out;
  for (const auto& [resource, amount] : amounts) {
    if (resource == "pods") continue;
    out += (out.empty() ? "" : ", ") + format_amount(resource, amount) + " " + resource;
  }
  return out.empty() ? "room for one more pod" : out;
}

/// Labels that all have alike, and the keys of those that differ.
std::string labels_text(const std::vector<Node>& nodes) {
  std::vector<std::string> same, different;
  for (const auto& [key, value] : nodes.front().labels.members()) {
    if (key == "kubernetes.io/hostname") continue;
    const bool is_same = std::all_of(nodes.begin(), nodes.end(),
                                     [&](const Node& node) { return node.labels[key] == value; });
    (is_same ? same : different).push_back(is_same ? key + "=" + value.as_string() : key);
  }
  std::string out;
  if (!same.empty()) out += ", labelled " + join(same);
  if (!different.empty()) out += ", of different " + join(different);
  return out;
}

}  // namespace

PodIndexes unit_of(const Observed& observed, size_t pod) {
  const Pod& self = observed.pending[pod];
  const auto gang = observed.gangs.find(self.gang);
  const auto is_started = [&](const Pod& one) {
    const auto job = gang->second.jobs.find(one.job_uid);
    return job != gang->second.jobs.end() && job->second.is_started;
  };
  if (gang == observed.gangs.end() || is_started(self)) return {pod};
  PodIndexes out;
  for (size_t i = 0; i < observed.pending.size(); ++i) {
    const Pod& one = observed.pending[i];
    if (one.gang == self.gang && !is_started(one)) out.push_back(i);
  }
  return out;
}

Observed apply_change(const Observed& observed, const PodIndexes& unit, const Change& change) {
  Observed out = observed;
  for (Node& node : out.nodes) {
    if (std::find(change.nodes.begin(), change.nodes.end(), node.name) == change.nodes.end()) {
      continue;
    }
    if (change.kind == Change::Kind::Uncordon) node.is_unschedulable = false;
    if (change.kind == Change::Kind::RemoveTaint) std::erase(node.taints, change.taint);
  }
  if (change.kind == Change::Kind::AddNodes) {
    // At the end, though they are then not in order: residents name nodes by their numbers.
    out.nodes.insert(out.nodes.end(), change.added.begin(), change.added.end());
  }
  if (!is_of_pods(change.kind)) return out;
  std::map<size_t, size_t> renamed;
  for (const size_t i : unit) {
    Pod& pod = out.pending[i];
    if (change.kind == Change::Kind::RemoveGates) pod.is_gated = false;
    const auto [shape, is_new] = renamed.emplace(pod.shape, out.shapes.size());
    if (is_new) {
      out.shapes.push_back(observed.shapes[pod.shape]);
      change_shape(observed, change, out.shapes.back());
    }
    pod.shape = shape->second;
  }
  return out;
}

std::string Change::to_string() const {
  switch (kind) {
    case Kind::Uncordon:
      return "uncordon " + join(nodes);
    case Kind::RemoveTaint:
      return "remove taint " + taint.to_string() + " from " + join(nodes);
    case Kind::LowerRequest:
      return "lower the request of " + resource + " to " + format_amount(resource, amount) +
             " per pod";
    case Kind::RemoveNodeSelector:
      return "remove nodeSelector " + key + "=" + value;
    case Kind::RemoveNodeAffinity:
      return "remove the required node affinity";
    case Kind::RemovePodAffinity:
      return "remove the required pod affinity";
    case Kind::RemovePodAntiAffinity:
      return "remove the required pod anti-affinity";
    case Kind::RemoveSpread:
      return "remove the topologySpreadConstraints with DoNotSchedule";
    case Kind::RemoveAnnotation:
      return "remove the annotation " + key;
    case Kind::RemoveGates:
      return "remove the scheduling gates";
    case Kind::AddNodes:
      return "add " + std::to_string(added.size()) + (added.size() == 1 ? " node" : " nodes") +
             " with " + amounts_text(added.front().allocatable) + labels_text(added);
  }
  return "";
}

Json Change::to_json() const {
  static constexpr const char* kNames[] = {"Uncordon",
                                           "RemoveTaint",
                                           "LowerRequest",
                                           "RemoveNodeSelector",
                                           "RemoveNodeAffinity",
                                           "RemovePodAffinity",
                                           "RemovePodAntiAffinity",
                                           "RemoveSpread",
                                           "RemoveAnnotation",
                                           "RemoveGates",
                                           "AddNodes"};
  Json out = Json::object({{"change", kNames[static_cast<size_t>(kind)]}});
  if (!nodes.empty()) {
    Json& list = out.set("nodes", Json::array());
    for (const std::string& node : nodes) list.push_back(node);
  }
  if (kind == Kind::RemoveTaint) {
    out.set("taint",
            Json::object({{"key", taint.key}, {"value", taint.value}, {"effect", taint.effect}}));
  }
  if (!key.empty()) out.set("key", key);
  if (!value.empty()) out.set("value", value);
  if (!resource.empty()) {
    out.set("resource", resource);
    out.set("amount", format_amount(resource, amount));
  }
  for (const Node& node : added) {
    Json allocatable = Json::object();
    for (const auto& [name, quantity] : node.allocatable) {
      allocatable.set(name, format_amount(name, quantity));
    }
    out.child("add").push_back(
        Json::object({{"labels", node.labels}, {"allocatable", std::move(allocatable)}}));
  }
  return out;
}

std::string Suggestion::to_string() const {
  std::string out;
  for (const Change& change : changes) out += (out.empty() ? "" : " and ") + change.to_string();
  return out;
}

Json Suggestion::to_json() const {
  Json list = Json::array();
  for (const Change& change : changes) list.push_back(change.to_json());
  return Json::object({{"message", to_string()}, {"changes", std::move(list)}});
}

}  // namespace pelton::decide::placement
