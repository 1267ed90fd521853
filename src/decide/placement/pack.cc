// SPDX-License-Identifier: Apache-2.0
#include "decide/placement/pack.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace pelton::decide::placement {
namespace {

/// Node labels that say how close nodes are. Which is coarse and which fine, their values tell.
constexpr const char* kTopologyLabels[] = {
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "cloud.google.com/gce-topology-block",
    "cloud.google.com/gce-topology-subblock",
    "cloud.google.com/gke-nodepool",
    "pelton.dev/block",
    "pelton.dev/rack",
};
constexpr size_t kNone = SIZE_MAX;

}  // namespace

Packer::Packer(const Observed& observed, Room& room) : observed_(observed), room_(room) {
  std::set<std::string> keys(std::begin(kTopologyLabels), std::end(kTopologyLabels));
  for (const Shape& shape : observed.shapes) {
    if (!shape.preferred_level.empty()) keys.insert(shape.preferred_level);
  }
  for (const std::string& key : keys) {
    Level level;
    level.key = key;
    std::map<std::string, int> values;
    for (const Node& node : observed.nodes) {
      const base::Json* value = node.labels.find(key);
      level.domain_of.push_back(
          value == nullptr
              ? -1
              : values.emplace(value->as_string(), static_cast<int>(values.size())).first->second);
    }
    level.domains = values.size();
    if (level.domains > 1) known_levels_.push_back(std::move(level));
  }
  std::stable_sort(known_levels_.begin(), known_levels_.end(),
                   [](const Level& a, const Level& b) { return a.domains < b.domains; });
}

std::optional<NodeList> Packer::place(const Pods& pods) {
  pods_ = pods;
  failure_ = {};
  placed_.clear();
  peak_ = 0;
  choose_levels();
  find_confinements();
  Indexes all(pods.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  if (!place_all(all, room_.all_nodes(), 0)) return std::nullopt;
  NodeList nodes(pods.size());
  for (const auto& [pod, node] : placed_) nodes[pod] = node;
  roll_back(0);
  return nodes;
}

void Packer::choose_levels() {
  levels_.clear();
  std::string preferred;
  bool has_preferences = false;
  for (const Pod* pod : pods_) {
    const Shape& shape = observed_.shapes[pod->shape];
    if (preferred.empty()) preferred = shape.preferred_level;
    has_preferences = has_preferences || shape.has_preferences();
  }
  if (preferred.empty() && has_preferences) return;
  const auto wanted = std::find_if(known_levels_.begin(), known_levels_.end(),
                                   [&](const Level& level) { return level.key == preferred; });
  for (const Level& level : known_levels_) {
    // A level that was asked for ends the list: finer ones are nobody's wish.
    if (wanted != known_levels_.end() && level.domains > wanted->domains) break;
    levels_.push_back(&level);
  }
}

void Packer::find_confinements() {
  confinements_.assign(pods_.size(), {});
  for (size_t i = 0; i < pods_.size(); ++i) {
    const Pod& pod = *pods_[i];
    for (const auto& group : observed_.shapes[pod.shape].near) {
      for (const size_t term : group) {
        if (std::binary_search(pod.matches.begin(), pod.matches.end(), term)) {
          confinements_[i].push_back(term);
        }
      }
    }
    std::stable_sort(confinements_[i].begin(), confinements_[i].end(), [&](size_t a, size_t b) {
      return room_.neighbours().domain_count(a) < room_.neighbours().domain_count(b);
    });
  }
}

bool Packer::place_all(const Indexes& pods, const NodeList& nodes, size_t stage) {
  std::vector<std::pair<size_t, Indexes>> bundles;  // by term, in order of first appearance
  std::map<size_t, size_t> bundle_of;
  for (const size_t i : pods) {
    const size_t term = stage < confinements_[i].size() ? confinements_[i][stage] : kNone;
    const auto [it, is_new] = bundle_of.emplace(term, bundles.size());
    if (is_new) bundles.push_back({term, {}});
    bundles[it->second].second.push_back(i);
  }
  std::stable_sort(bundles.begin(), bundles.end(), [](const auto& a, const auto& b) {
    return std::tuple(a.first == kNone, b.second.size()) <
           std::tuple(b.first == kNone, a.second.size());
  });
  const size_t mark = placed_.size();
  for (const auto& [term, members] : bundles) {
    const bool is_placed =
        term == kNone ? pack_all(members, nodes) : place_confined(members, nodes, stage, term);
    if (is_placed) continue;
    roll_back(mark);
    return false;
  }
  return true;
}

bool Packer::place_confined(const Indexes& pods, const NodeList& nodes, size_t stage, size_t term) {
  const size_t mark = placed_.size();
  const size_t peak_before = std::exchange(peak_, mark);
  Demand demand = demand_of(pods);
  std::vector<Group> groups = partition(
      nodes, [&](size_t node) { return room_.neighbours().domain_of(term, node); }, false, demand);
  bool is_placed = false, is_tried = false;
  while (!groups.empty() && !is_placed) {
    const size_t next = next_group(groups, demand);
    // Where even the resources do not suffice no attempt can succeed; one is made to say why.
    const bool is_hopeless = holds(groups[next], demand) < static_cast<int64_t>(pods.size());
    if (is_hopeless && is_tried) break;
    is_tried = true;
    is_placed = place_all(pods, groups[next].nodes, stage + 1);
    groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(next));
  }
  const size_t most = peak_ - mark;
  peak_ = std::max(peak_, peak_before);
  if (is_placed) return true;
  if (!is_tried) note_failure(*pods_[pods.front()]);
  if (failure_.placed <= mark + most) {
    failure_.topology = std::to_string(pods.size()) + " pods must share one " +
                        observed_.terms[term].topology_key + ", at most " + std::to_string(most) +
                        " fit in one";
  }
  return false;
}

bool Packer::pack_all(const Indexes& pods, const NodeList& nodes) {
  if (pack_in_one(pods, nodes)) return true;
  const size_t mark = placed_.size();
  const Indexes rest = pack(pods, nodes, 0);
  if (rest.empty()) return true;
  note_failure(*pods_[rest.front()]);
  roll_back(mark);
  return false;
}

/// Into one domain of the finest level that has one large enough.
bool Packer::pack_in_one(const Indexes& pods, const NodeList& nodes) {
  const Demand demand = demand_of(pods);
  const size_t mark = placed_.size();
  for (size_t level = levels_.size(); level-- > 0;) {
    std::vector<Group> groups = partition(
        nodes, [&](size_t node) { return levels_[level]->domain_of[node]; }, false, demand);
    while (!groups.empty()) {
      const size_t next = next_group(groups, demand);
      if (holds(groups[next], demand) < static_cast<int64_t>(pods.size())) break;
      if (pack(pods, groups[next].nodes, level + 1).empty()) return true;
      roll_back(mark);
      groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(next));
    }
  }
  return false;
}

Packer::Indexes Packer::pack(const Indexes& pods, const NodeList& nodes, size_t level) {
  if (level >= levels_.size()) return fill(pods, nodes);
  Demand demand = demand_of(pods);
  std::vector<Group> groups =
      partition(nodes, [&](size_t node) { return levels_[level]->domain_of[node]; }, true, demand);
  if (groups.size() <= 1) return pack(pods, nodes, level + 1);
  Indexes rest = pods;
  while (!rest.empty() && !groups.empty()) {
    demand = demand_of(pods);
    for (auto& [shape, count] : demand) count = 0;
    for (const size_t i : rest) ++demand[pods_[i]->shape];
    const size_t next = next_group(groups, demand);
    rest = pack(rest, groups[next].nodes, level + 1);
    groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(next));
  }
  return rest;
}

Packer::Indexes Packer::fill(const Indexes& pods, const NodeList& nodes) {
  Indexes rest = fill_once(pods, nodes);
  // A pod that waits for the company of a later one of the list finds it in the next round.
  const bool may_help = std::any_of(rest.begin(), rest.end(), [&](size_t i) {
    return observed_.shapes[pods_[i]->shape].has_rules();
  });
  while (may_help && !rest.empty()) {
    Indexes next = fill_once(rest, nodes);
    if (next.size() == rest.size()) break;
    rest = std::move(next);
  }
  return rest;
}

Packer::Indexes Packer::fill_once(const Indexes& pods, const NodeList& nodes) {
  Indexes rest;
  std::set<size_t> full;  // shapes without rules that found no node: their like need not try
  for (const size_t i : pods) {
    const Pod& pod = *pods_[i];
    const bool is_plain = pod.matches.empty() && !observed_.shapes[pod.shape].has_rules();
    const auto node =
        is_plain && full.contains(pod.shape) ? std::nullopt : room_.best_node(pod, nodes);
    if (!node) {
      if (is_plain) full.insert(pod.shape);
      rest.push_back(i);
      continue;
    }
    room_.take(pod, *node);
    placed_.emplace_back(i, *node);
  }
  return rest;
}

std::vector<Packer::Group> Packer::partition(const NodeList& nodes, const DomainOf& domain_of,
                                             bool keeps_rest, const Demand& demand) const {
  std::map<int, Group> groups;
  for (const size_t node : nodes) {
    const int domain = domain_of(node);
    if (domain >= 0 || keeps_rest) groups[domain].nodes.push_back(node);
  }
  std::vector<Group> out;
  for (auto& [domain, group] : groups) {
    for (const auto& [shape, count] : demand) {
      group.capacity.push_back(room_.capacity(shape, group.nodes));
    }
    group.idle = room_.idle_accelerators(group.nodes);
    out.push_back(std::move(group));
  }
  return out;
}

Packer::Demand Packer::demand_of(const Indexes& pods) const {
  Demand out;
  for (const size_t i : pods) ++out[pods_[i]->shape];
  return out;
}

/// An upper bound: pods of different shapes take each other's room.
int64_t Packer::holds(const Group& group, const Demand& demand) {
  int64_t sum = 0;
  size_t at = 0;
  for (const auto& [shape, count] : demand) sum += std::min(group.capacity[at++], count);
  return sum;
}

size_t Packer::next_group(const std::vector<Group>& groups, const Demand& demand) const {
  int64_t pods = 0;
  bool wants_accelerators = false;
  for (const auto& [shape, count] : demand) {
    pods += count;
    for (const auto& [resource, amount] : observed_.shapes[shape].requests) {
      wants_accelerators = wants_accelerators || is_accelerator(resource);
    }
  }
  const auto rank = [&](const Group& group) {
    const int64_t held = holds(group, demand);
    int64_t room = 0;
    for (const int64_t capacity : group.capacity) room += capacity;
    // All pods, then as many as possible; what needs no accelerator keeps away from those.
    return std::tuple(held < pods, held < pods && wants_accelerators ? -held : 0, group.idle, -held,
                      room);
  };
  size_t best = 0;
  for (size_t i = 1; i < groups.size(); ++i) {
    if (rank(groups[i]) < rank(groups[best])) best = i;
  }
  return best;
}

void Packer::note_failure(const Pod& pod) {
  peak_ = std::max(peak_, placed_.size());
  if (!failure_.pod_name.empty() && placed_.size() <= failure_.placed) return;
  failure_.placed = placed_.size();
  failure_.pod_name = pod.name;
  failure_.topology.clear();
  failure_.why = room_.explain(pod);
}

void Packer::roll_back(size_t mark) {
  while (placed_.size() > mark) {
    const auto [pod, node] = placed_.back();
    room_.give_back(*pods_[pod], node);
    placed_.pop_back();
  }
}

}  // namespace pelton::decide::placement
