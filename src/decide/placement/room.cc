// SPDX-License-Identifier: Apache-2.0
#include "decide/placement/room.h"

#include <algorithm>
#include <set>

namespace pelton::decide::placement {

using base::Json;

namespace {

/// Counts one ground for refusing nodes, and the most room that one of them has.
struct Tally {
  int64_t nodes = 0;
  int64_t most = INT64_MIN;
  std::string most_on;

  void add(int64_t free, const std::string& node) {
    ++nodes;
    if (free <= most) return;
    most = free;
    most_on = node;
  }
};

std::vector<std::string> resource_names(const Observed& observed) {
  std::set<std::string> names = {"cpu", "pods"};
  for (const Node& node : observed.nodes) {
    for (const auto& [name, amount] : node.allocatable) names.insert(name);
  }
  for (const Shape& shape : observed.shapes) {
    for (const auto& [name, amount] : shape.requests) names.insert(name);
  }
  return {names.begin(), names.end()};
}

int64_t amount_in(const Amounts& amounts, const std::string& resource, int64_t fallback) {
  auto it = amounts.find(resource);
  return it == amounts.end() ? fallback : it->second;
}

bool matches_affinity(const Shape& shape, const Node& node) {
  if (!shape.has_affinity) return true;
  const Json fields = Json::object({{"metadata.name", node.name}});
  return std::any_of(shape.affinity.begin(), shape.affinity.end(), [&](const AffinityTerm& term) {
    return !term.is_empty && term.labels.matches(node.labels) && term.fields.matches(fields);
  });
}

}  // namespace

Room::Room(const Observed& observed) : observed_(observed), names_(resource_names(observed)) {
  const auto id_of = [&](const std::string& name) {
    return static_cast<size_t>(std::lower_bound(names_.begin(), names_.end(), name) -
                               names_.begin());
  };
  cpu_ = id_of("cpu");
  free_.resize(observed.nodes.size() * names_.size());
  for (size_t n = 0; n < observed.nodes.size(); ++n) {
    const Node& node = observed.nodes[n];
    for (size_t r = 0; r < names_.size(); ++r) {
      // A node that does not say how many pods it runs has no limit of them.
      const int64_t all = amount_in(node.allocatable, names_[r], names_[r] == "pods" ? 110 : 0);
      free(n, r) = all - amount_in(node.used, names_[r], 0);
    }
    in_group_.push_back(node.pods_by_group);
  }
  for (const Shape& shape : observed.shapes) {
    auto& needs = needs_.emplace_back();
    for (const auto& [name, amount] : shape.requests) needs.push_back({id_of(name), amount});
    auto& allowed = allowed_.emplace_back();
    auto& is_allowed = is_allowed_.emplace_back(observed.nodes.size(), false);
    for (size_t n = 0; n < observed.nodes.size(); ++n) {
      if (!refusal(shape, observed.nodes[n]).empty()) continue;
      allowed.push_back(n);
      is_allowed[n] = true;
    }
  }
}

std::string Room::refusal(const Shape& shape, const Node& node) const {
  const auto tolerates = [&](const Taint& taint) {
    return std::any_of(shape.tolerations.begin(), shape.tolerations.end(),
                       [&](const Toleration& t) { return t.tolerates(taint); });
  };
  static const Taint kUnschedulable = {"node.kubernetes.io/unschedulable", "", "NoSchedule"};
  if (node.is_unschedulable && !tolerates(kUnschedulable)) return "node(s) were unschedulable";
  for (const Taint& taint : node.taints) {
    if (taint.effect != "NoSchedule" && taint.effect != "NoExecute") continue;
    if (!tolerates(taint)) return "node(s) had untolerated taint " + taint.to_string();
  }
  if (!node.is_ready) return "node(s) were not ready";
  if (!shape.node_selector.matches(node.labels) || !matches_affinity(shape, node)) {
    return "node(s) didn't match Pod's node affinity/selector";
  }
  return "";
}

bool Room::fits(size_t shape, size_t node) const {
  if (!is_allowed_[shape][node]) return false;
  return std::all_of(needs_[shape].begin(), needs_[shape].end(),
                     [&](const Need& need) { return free(node, need.resource) >= need.amount; });
}

Room::Score Room::score(size_t shape, const std::string& group, size_t node) const {
  // Accelerators of kinds that the pod does not ask for lie as idle beside it as its own kind's.
  int64_t left_over = 0;
  for (size_t r = 0; r < names_.size(); ++r) {
    if (is_accelerator(names_[r])) left_over += std::max<int64_t>(0, free(node, r));
  }
  for (const Need& need : needs_[shape]) {
    if (is_accelerator(names_[need.resource])) left_over -= need.amount;
  }
  auto same = in_group_[node].find(group);
  const int64_t siblings = group.empty() || same == in_group_[node].end() ? 0 : same->second;
  const int64_t all_cpu = amount_in(observed_.nodes[node].allocatable, "cpu", 0);
  const int64_t free_permille = all_cpu <= 0 ? 0 : 1000 * free(node, cpu_) / all_cpu;
  return {{left_over, siblings}, -free_permille};
}

std::optional<size_t> Room::best_node(size_t shape, const std::string& group,
                                      const std::string& preferred) const {
  std::optional<size_t> best;
  Score best_score;
  for (size_t node : allowed_[shape]) {
    if (!fits(shape, node)) continue;
    if (!preferred.empty() && observed_.nodes[node].name == preferred) return node;
    const Score own = score(shape, group, node);
    // Nodes are in order of their names: the first of equals stays.
    if (best && best_score <= own) continue;
    best = node;
    best_score = own;
  }
  return best;
}

void Room::move(size_t shape, const std::string& group, size_t node, int sign) {
  for (const Need& need : needs_[shape]) free(node, need.resource) -= sign * need.amount;
  if (!group.empty()) in_group_[node][group] += sign;
}

size_t Room::candidates(size_t shape) const {
  return allowed_[shape].size();
}

Explanation Room::explain(size_t shape) const {
  Explanation out;
  out.total_nodes = static_cast<int64_t>(observed_.nodes.size());
  std::map<std::string, int64_t> refusals;
  std::map<size_t, Tally> lacking;  // by need
  for (size_t n = 0; n < observed_.nodes.size(); ++n) {
    if (!is_allowed_[shape][n]) {
      ++refusals[refusal(observed_.shapes[shape], observed_.nodes[n])];
      continue;
    }
    for (size_t i = 0; i < needs_[shape].size(); ++i) {
      const Need& need = needs_[shape][i];
      const int64_t present = free(n, need.resource);
      if (present < need.amount) lacking[i].add(present, observed_.nodes[n].name);
    }
  }
  for (const auto& [reason, nodes] : refusals) out.misfits.push_back({reason, nodes, ""});
  for (const auto& [i, tally] : lacking) {
    const Need& need = needs_[shape][i];
    const std::string& name = names_[need.resource];
    Misfit misfit;
    misfit.nodes = tally.nodes;
    misfit.reason = name == "pods" ? "Too many pods" : "Insufficient " + name;
    misfit.detail = "needs " + format_amount(name, need.amount) + ", at most " +
                    format_amount(name, std::max<int64_t>(0, tally.most)) + " free on " +
                    tally.most_on;
    out.misfits.push_back(std::move(misfit));
  }
  std::stable_sort(out.misfits.begin(), out.misfits.end(), [](const Misfit& a, const Misfit& b) {
    return a.nodes != b.nodes ? a.nodes > b.nodes : a.reason < b.reason;
  });
  return out;
}

std::string Explanation::message() const {
  std::string out = context;
  if (is_waiting) return out;
  if (!out.empty()) out += ": ";
  out += "0/" + std::to_string(total_nodes) + " nodes are available";
  if (total_nodes == 0) return out + ": the cluster has no nodes";
  const char* separator = ": ";
  for (const Misfit& misfit : misfits) {
    out += separator + std::to_string(misfit.nodes) + " " + misfit.reason;
    if (!misfit.detail.empty()) out += " (" + misfit.detail + ")";
    separator = ", ";
  }
  return out;
}

}  // namespace pelton::decide::placement
