// SPDX-License-Identifier: Apache-2.0
#include "decide/placement/suggest.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "decide/placement/change.h"
#include "decide/placement/decide_placement.h"
#include "decide/placement/filters.h"
#include "decide/placement/new_nodes.h"

namespace pelton::decide::placement {
namespace {

class Advisor {
 public:
  Advisor(const Observed& observed, size_t pod)
      : observed_(observed), pod_(pod), unit_(unit_of(observed, pod)) {
    for (const size_t i : unit_) shapes_.insert(observed.pending[i].shape);
  }

  std::vector<Suggestion> run() {
    if (is_placed(observed_)) return {};
    remove_gates();
    for (const Change& change : node_changes()) offer_fewest(change);
    lower_requests();
    const std::vector<Change> wishes = wish_changes();
    for (const Change& change : wishes) offer({change});
    add_nodes({});
    if (!out_.empty()) return std::move(out_);
    // Nothing helps alone: one wish less on new nodes, or all less.
    for (const Change& change : wishes) add_nodes({change});
    if (out_.empty()) offer(wishes);
    if (out_.empty()) add_nodes(wishes);
    return std::move(out_);
  }

 private:
  bool is_placed(const Observed& observed) const {
    const Pod& pod = observed_.pending[pod_];
    const Decision decision = decide_placement(observed);
    return std::any_of(decision.placements.begin(), decision.placements.end(),
                       [&](const Placement& placement) {
                         return std::any_of(placement.bindings.begin(), placement.bindings.end(),
                                            [&](const Binding& b) { return b.pod_uid == pod.uid; });
                       });
  }

  Observed after(const std::vector<Change>& changes) const {
    Observed out = observed_;
    for (const Change& change : changes) out = apply_change(out, unit_, change);
    return out;
  }
  bool helps(const std::vector<Change>& changes) const { return is_placed(after(changes)); }

  bool offer(const std::vector<Change>& changes) {
    if (changes.empty() || !helps(changes)) return false;
    out_.push_back({changes});
    return true;
  }

  /// The smallest count in [1, all] for which `helps_with` holds, where it does for all; more is
  /// taken never to hurt, so that halving finds it. 0: not even all help.
  static size_t fewest(size_t all, const std::function<bool(size_t)>& helps_with) {
    if (all == 0 || !helps_with(all)) return 0;
    size_t low = 0, high = all;  // high helps
    while (low + 1 < high) {
      const size_t middle = (low + high) / 2;
      (helps_with(middle) ? high : low) = middle;
    }
    return high;
  }

  void remove_gates() {
    Change change;
    change.kind = Change::Kind::RemoveGates;
    if (std::any_of(unit_.begin(), unit_.end(),
                    [&](size_t i) { return observed_.pending[i].is_gated; })) {
      offer({change});
    }
  }

  /// Nodes that are closed to the pods for one reason only, by that reason.
  std::vector<Change> node_changes() const {
    Change uncordon;
    uncordon.kind = Change::Kind::Uncordon;
    std::map<Taint, Change> by_taint;
    for (const Node& node : observed_.nodes) {
      const bool is_wanted =
          node.is_ready && std::any_of(shapes_.begin(), shapes_.end(), [&](size_t shape) {
            return selects_node(observed_.shapes[shape], node);
          });
      if (!is_wanted) continue;
      if (node.is_unschedulable) uncordon.nodes.push_back(node.name);
      for (const Taint& taint : node.taints) {
        if (taint.effect == "PreferNoSchedule") continue;
        Change& change = by_taint[taint];
        change.kind = Change::Kind::RemoveTaint;
        change.taint = taint;
        change.nodes.push_back(node.name);
      }
    }
    std::vector<Change> out;
    if (!uncordon.nodes.empty()) out.push_back(std::move(uncordon));
    for (auto& [taint, change] : by_taint) out.push_back(std::move(change));
    return out;
  }

  /// As few of the change's nodes as do; of a single pod, the first that does.
  void offer_fewest(Change change) {
    constexpr size_t kSinglesTried = 32;
    const std::vector<std::string> all = change.nodes;
    for (size_t i = 0; i < std::min(all.size(), kSinglesTried); ++i) {
      change.nodes = {all[i]};
      if (offer({change})) return;
    }
    const size_t count = fewest(all.size(), [&](size_t n) {
      change.nodes.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n));
      return helps({change});
    });
    if (count == 0) return;
    change.nodes.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count));
    offer({change});
  }

  /// The largest request that fits, of each resource.
  void lower_requests() {
    std::set<std::string> resources;
    for (const size_t shape : shapes_) {
      for (const auto& [resource, amount] : observed_.shapes[shape].requests) {
        if (resource != "pods") resources.insert(resource);
      }
    }
    for (const std::string& resource : resources) {
      const std::vector<int64_t> amounts = amounts_to_try(resource);  // descending
      Change change;
      change.kind = Change::Kind::LowerRequest;
      change.resource = resource;
      const size_t place = fewest(amounts.size(), [&](size_t n) {
        change.amount = amounts[n - 1];
        return helps({change});
      });
      if (place == 0) continue;
      change.amount = amounts[place - 1];
      offer({change});
    }
  }

  /// What is free on some node, shared by one, two, … pods; only less than what is asked for.
  std::vector<int64_t> amounts_to_try(const std::string& resource) const {
    int64_t asked = 0;
    for (const size_t shape : shapes_) {
      auto it = observed_.shapes[shape].requests.find(resource);
      if (it != observed_.shapes[shape].requests.end()) asked = std::max(asked, it->second);
    }
    std::set<int64_t, std::greater<>> out;
    constexpr int64_t kSharers = 64;
    for (const Node& node : observed_.nodes) {
      const auto all = node.allocatable.find(resource);
      if (all == node.allocatable.end()) continue;
      const auto used = node.used.find(resource);
      const int64_t free = all->second - (used == node.used.end() ? 0 : used->second);
      const int64_t pods = std::min<int64_t>(kSharers, static_cast<int64_t>(unit_.size()));
      for (int64_t sharers = 1; sharers <= pods; ++sharers) {
        if (const int64_t share = free / sharers; share > 0 && share < asked) out.insert(share);
      }
    }
    return {out.begin(), out.end()};
  }

  /// What the pods could do without.
  std::vector<Change> wish_changes() const {
    std::vector<Change> out;
    const auto add = [&](Change::Kind kind, const std::string& key = "",
                         const std::string& value = "") {
      const bool is_known = std::any_of(out.begin(), out.end(), [&](const Change& other) {
        return other.kind == kind && other.key == key;
      });
      if (is_known) return;
      Change& change = out.emplace_back();
      change.kind = kind;
      change.key = key;
      change.value = value;
    };
    for (const size_t number : shapes_) {
      const Shape& shape = observed_.shapes[number];
      for (const auto& requirement : shape.node_selector.requirements()) {
        add(Change::Kind::RemoveNodeSelector, requirement.key,
            requirement.values.empty() ? "" : requirement.values.front());
      }
      if (shape.has_affinity) add(Change::Kind::RemoveNodeAffinity);
      for (const auto& group : shape.near)
        add_rule(group.front(), Change::Kind::RemovePodAffinity, add);
      for (const size_t term : shape.apart)
        add_rule(term, Change::Kind::RemovePodAntiAffinity, add);
      for (const Spread& spread : shape.spreads) {
        if (spread.is_required) add(Change::Kind::RemoveSpread);
      }
    }
    return out;
  }

  template <typename Add>
  void add_rule(size_t term, Change::Kind kind, const Add& add) const {
    const std::string& refusal = observed_.terms[term].refusal;
    if (refusal.empty()) {
      add(kind);
    } else {
      const bool is_exclusive = refusal.find("(exclusive-topology)") != std::string::npos;
      add(Change::Kind::RemoveAnnotation, is_exclusive ? kExclusiveTopology : kRequiredTopology);
    }
  }

  void add_nodes(const std::vector<Change>& before) {
    const Observed base = after(before);
    const std::vector<Node> all = new_nodes_for(base, unit_);
    Change change;
    const auto with = [&](size_t n) {
      change.added.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n));
      return is_placed(apply_change(base, unit_, change));
    };
    const size_t count = fewest(all.size(), with);
    if (count == 0) return;
    change.added.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count));
    std::vector<Change> changes = before;
    changes.push_back(change);
    offer(changes);
  }

  const Observed& observed_;
  const size_t pod_;
  const PodIndexes unit_;
  std::set<size_t> shapes_;  ///< of the unit
  std::vector<Suggestion> out_;
};

}  // namespace

std::vector<Suggestion> suggest(const Observed& observed, std::string_view namespace_name,
                                std::string_view pod_name) {
  for (size_t i = 0; i < observed.pending.size(); ++i) {
    const Pod& pod = observed.pending[i];
    if (pod.namespace_name == namespace_name && pod.name == pod_name) {
      return Advisor(observed, i).run();
    }
  }
  return {};
}

}  // namespace pelton::decide::placement
