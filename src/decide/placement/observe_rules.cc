// SPDX-License-Identifier: Apache-2.0
#include "decide/placement/observe_rules.h"

#include <algorithm>
#include <utility>

#include "api/object.h"

namespace pelton::decide::placement {

using api::LabelSelector;
using base::Json;

namespace {

constexpr const char* kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
constexpr const char* kPreferred = "preferredDuringSchedulingIgnoredDuringExecution";
constexpr const char* kControllerUid = "batch.kubernetes.io/controller-uid";

/// A selector that cannot be read selects nothing; validation has refused it before.
LabelSelector selector_from(const Json& object) {
  auto selector = LabelSelector::from_object(object);
  return selector.ok() ? std::move(*selector) : LabelSelector::nothing();
}

/// matchLabelKeys: only pods with the pod's own values of these labels (or only others).
void add_label_keys(LabelSelector& selector, const Json& keys, const Json& pod,
                    LabelSelector::Operator op) {
  for (const Json& key : keys.items()) {
    const Json* value = api::labels_of(pod).find(key.as_string());
    if (value != nullptr) selector.add({key.as_string(), op, {value->as_string()}});
  }
}

PodMatcher with_label(const std::string& key, LabelSelector::Operator op, std::string value) {
  PodMatcher out;
  out.is_any_namespace = true;
  if (op == LabelSelector::Operator::NotIn) {
    out.labels.add({key, LabelSelector::Operator::Exists, {}});
  }
  out.labels.add({key, op, {std::move(value)}});
  return out;
}

std::string exclusive_level(const Json& pod) {
  const std::string& strategy = api::annotation_of(pod, kNodeSelectorStrategy);
  return strategy.empty() ? api::annotation_of(pod, kExclusiveTopology) : "";
}

PodTerm exclusive_term(const Json& pod, const std::string& level) {
  PodTerm out;
  out.topology_key = level;
  out.matchers.push_back(
      with_label(kJobKeyLabel, LabelSelector::Operator::NotIn, api::label_of(pod, kJobKeyLabel)));
  out.refusal = "node(s) were in a " + level + " that another Job holds (exclusive-topology)";
  return out;
}

}  // namespace

size_t RuleReader::number_of(PodTerm term) {
  std::string key = term.topology_key;
  for (const PodMatcher& matcher : term.matchers) {
    key += '\n' + (matcher.labels.matches_nothing() ? "!" : matcher.labels.to_string());
    key += matcher.is_any_namespace ? "\n*" : "\n";
    for (const std::string& name : matcher.namespaces) key += name + ",";
  }
  key += '\n' + term.refusal;
  const auto [it, is_new] = numbers_.emplace(std::move(key), terms_.size());
  if (is_new) terms_.push_back(std::move(term));
  return it->second;
}

PodMatcher RuleReader::matcher_of(const Json& term, const Json& pod) const {
  PodMatcher out;
  out.labels = selector_from(term["labelSelector"]);
  add_label_keys(out.labels, term["matchLabelKeys"], pod, LabelSelector::Operator::In);
  add_label_keys(out.labels, term["mismatchLabelKeys"], pod, LabelSelector::Operator::NotIn);
  for (const Json& name : term["namespaces"].items()) out.namespaces.insert(name.as_string());
  if (const Json* selector = term.find("namespaceSelector"); selector && !selector->is_null()) {
    const LabelSelector wanted = selector_from(*selector);
    out.is_any_namespace = wanted.matches_everything();
    for (const Json* object : namespaces_) {
      if (wanted.matches(api::labels_of(*object))) out.namespaces.insert(api::name_of(*object));
    }
  } else if (out.namespaces.empty()) {
    out.namespaces.insert(api::namespace_of(pod));
  }
  return out;
}

void RuleReader::read_affinity(const Json& pod, Shape& shape) {
  const Json& affinity = pod["spec"]["affinity"];
  // A pod counts for one required term only where it matches all of them, as upstream's.
  std::vector<PodMatcher> all;
  for (const Json& term : affinity["podAffinity"][kRequired].items()) {
    all.push_back(matcher_of(term, pod));
  }
  std::vector<size_t> group;
  for (const Json& term : affinity["podAffinity"][kRequired].items()) {
    group.push_back(number_of({all, term["topologyKey"].as_string(), ""}));
  }
  if (!group.empty()) shape.near.push_back(std::move(group));
  for (const char* kind : {"podAffinity", "podAntiAffinity"}) {
    const int64_t sign = std::string_view(kind) == "podAffinity" ? 1 : -1;
    for (const Json& weighted : affinity[kind][kPreferred].items()) {
      const Json& term = weighted["podAffinityTerm"];
      const size_t number =
          number_of({{matcher_of(term, pod)}, term["topologyKey"].as_string(), ""});
      shape.preferred_pods.push_back({number, sign * weighted["weight"].as_int()});
    }
  }
}

void RuleReader::read_spreads(const Json& pod, Shape& shape) {
  for (const Json& constraint : pod["spec"]["topologySpreadConstraints"].items()) {
    PodMatcher matcher;
    matcher.labels = selector_from(constraint["labelSelector"]);
    add_label_keys(matcher.labels, constraint["matchLabelKeys"], pod, LabelSelector::Operator::In);
    matcher.namespaces.insert(api::namespace_of(pod));
    Spread spread;
    spread.term = number_of({{std::move(matcher)}, constraint["topologyKey"].as_string(), ""});
    spread.max_skew = constraint["maxSkew"].as_int(1);
    spread.min_domains = constraint["minDomains"].as_int(1);
    spread.is_required = constraint["whenUnsatisfiable"].as_string() != "ScheduleAnyway";
    spread.honors_affinity = constraint["nodeAffinityPolicy"].as_string() != "Ignore";
    spread.honors_taints = constraint["nodeTaintsPolicy"].as_string() == "Honor";
    shape.spreads.push_back(spread);
  }
}

void RuleReader::read_topology(const Json& pod, Shape& shape) {
  shape.preferred_level = api::annotation_of(pod, kPreferredTopology);
  if (const std::string& level = api::annotation_of(pod, kRequiredTopology); !level.empty()) {
    PodMatcher matcher;
    matcher.namespaces.insert(api::namespace_of(pod));
    for (const char* key :
         {kJobSetUidLabel, kReplicatedJobLabel, kRestartAttemptLabel, kControllerUid}) {
      const std::string& value = api::label_of(pod, key);
      // The pods of a replicated job are one set; so are those of a Job that has no JobSet.
      const bool is_jobs = std::string_view(key) == kControllerUid;
      if (value.empty() || (is_jobs && !matcher.labels.matches_everything())) continue;
      matcher.labels.add({key, LabelSelector::Operator::In, {value}});
    }
    if (!matcher.labels.matches_everything()) {
      shape.near.push_back({number_of(
          {{std::move(matcher)},
           level,
           "node(s) were not in the " + level + " of the pod's set (required-topology)"})});
    }
  }
  const std::string exclusive = exclusive_level(pod);
  const std::string& job = api::label_of(pod, kJobKeyLabel);
  if (exclusive.empty() || job.empty()) return;
  shape.near.push_back({number_of(
      {{with_label(kJobKeyLabel, LabelSelector::Operator::In, job)},
       exclusive,
       "node(s) were not in the " + exclusive + " of the pod's Job (exclusive-topology)"})});
}

void RuleReader::read(const Json& pod, Shape& shape) {
  read_affinity(pod, shape);
  shape.apart = read_apart(pod);
  read_spreads(pod, shape);
  read_topology(pod, shape);
}

std::vector<size_t> RuleReader::read_apart(const Json& pod) {
  std::vector<size_t> out;
  for (const Json& term : pod["spec"]["affinity"]["podAntiAffinity"][kRequired].items()) {
    out.push_back(number_of({{matcher_of(term, pod)}, term["topologyKey"].as_string(), ""}));
  }
  const std::string level = exclusive_level(pod);
  if (!level.empty() && !api::label_of(pod, kJobKeyLabel).empty()) {
    out.push_back(number_of(exclusive_term(pod, level)));
  }
  return out;
}

std::vector<size_t> RuleReader::matches_of(const Json& pod) const {
  std::vector<size_t> out;
  for (size_t i = 0; i < terms_.size(); ++i) {
    const auto& matchers = terms_[i].matchers;
    const bool is_match = std::all_of(matchers.begin(), matchers.end(), [&](const PodMatcher& m) {
      return m.matches(api::namespace_of(pod), api::labels_of(pod));
    });
    if (is_match) out.push_back(i);
  }
  return out;
}

std::string rules_key(const Shape& shape) {
  std::string key = shape.preferred_level;
  const auto add = [&](int64_t number) { key += ' ' + std::to_string(number); };
  for (const auto& group : shape.near) {
    key += '(';
    for (size_t term : group) add(static_cast<int64_t>(term));
  }
  key += '!';
  for (size_t term : shape.apart) add(static_cast<int64_t>(term));
  key += '~';
  for (const PreferredPods& p : shape.preferred_pods) {
    add(static_cast<int64_t>(p.term));
    add(p.weight);
  }
  key += '=';
  for (const Spread& s : shape.spreads) {
    add(static_cast<int64_t>(s.term));
    add(s.max_skew);
    add(s.min_domains);
    add((s.is_required ? 1 : 0) + (s.honors_affinity ? 2 : 0) + (s.honors_taints ? 4 : 0));
  }
  return key;
}

bool PodMatcher::matches(std::string_view namespace_name, const Json& pod_labels) const {
  return (is_any_namespace || namespaces.contains(namespace_name)) && labels.matches(pod_labels);
}

bool Shape::has_rules() const {
  return !near.empty() || !apart.empty() ||
         std::any_of(spreads.begin(), spreads.end(), [](const Spread& s) { return s.is_required; });
}

bool Shape::has_preferences() const {
  return !preferred_nodes.empty() || !preferred_pods.empty() || !spreads.empty();
}

}  // namespace pelton::decide::placement
