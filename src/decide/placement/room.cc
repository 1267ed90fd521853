// SPDX-License-Identifier: Apache-2.0
#include "decide/placement/room.h"

#include <algorithm>
#include <set>

#include "decide/placement/filters.h"

namespace pelton::decide::placement {

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

}  // namespace

Room::Room(const Observed& observed)
    : observed_(observed), neighbours_(observed), names_(resource_names(observed)) {
  cpu_ =
      static_cast<size_t>(std::lower_bound(names_.begin(), names_.end(), "cpu") - names_.begin());
  for (size_t r = 0; r < names_.size(); ++r) {
    if (is_accelerator(names_[r])) accelerators_.push_back(r);
  }
  free_.resize(observed.nodes.size() * names_.size());
  for (size_t n = 0; n < observed.nodes.size(); ++n) {
    const Node& node = observed.nodes[n];
    for (size_t r = 0; r < names_.size(); ++r) {
      free(n, r) = amount_in(node.allocatable, names_[r], 0) - amount_in(node.used, names_[r], 0);
    }
    in_group_.push_back(node.pods_by_group);
    all_nodes_.push_back(n);
  }
  for (const Shape& shape : observed.shapes) look_at(shape);
}

void Room::look_at(const Shape& shape) {
  auto& needs = needs_.emplace_back();
  for (const auto& [name, amount] : shape.requests) {
    const auto at = std::lower_bound(names_.begin(), names_.end(), name);
    needs.push_back({static_cast<size_t>(at - names_.begin()), amount});
  }
  auto& is_allowed = is_allowed_.emplace_back(observed_.nodes.size(), false);
  auto& dislikes = dislikes_.emplace_back();
  size_t count = 0;
  for (size_t n = 0; n < observed_.nodes.size(); ++n) {
    dislikes.push_back(node_dislike(shape, observed_.nodes[n]));
    if (!node_refusal(shape, observed_.nodes[n]).empty()) continue;
    is_allowed[n] = true;
    ++count;
  }
  allowed_count_.push_back(count);
}

bool Room::has_room(size_t shape, size_t node) const {
  return std::all_of(needs_[shape].begin(), needs_[shape].end(),
                     [&](const Need& need) { return free(node, need.resource) >= need.amount; });
}

bool Room::fits(const Pod& pod, size_t node) const {
  return is_allowed_[pod.shape][node] && has_room(pod.shape, node) && neighbours_.admits(pod, node);
}

Room::Score Room::score(const Pod& pod, size_t node) const {
  // Accelerators of kinds that the pod does not ask for lie as idle beside it as its own kind's.
  int64_t left_over = 0;
  for (const size_t r : accelerators_) left_over += std::max<int64_t>(0, free(node, r));
  for (const Need& need : needs_[pod.shape]) {
    if (is_accelerator(names_[need.resource])) left_over -= need.amount;
  }
  auto same = in_group_[node].find(pod.group);
  const int64_t siblings = pod.group.empty() || same == in_group_[node].end() ? 0 : same->second;
  const int64_t all_cpu = amount_in(observed_.nodes[node].allocatable, "cpu", 0);
  const int64_t free_permille = all_cpu <= 0 ? 0 : 1000 * free(node, cpu_) / all_cpu;
  const auto [soft_taints, preference] = dislikes_[pod.shape][node];
  const auto [company, crowd] = neighbours_.dislike(pod, node);
  return {soft_taints, preference, company, crowd, left_over, siblings, -free_permille};
}

std::optional<size_t> Room::best_node(const Pod& pod, const NodeList& nodes) const {
  std::optional<size_t> best;
  Score best_score;
  for (const size_t node : nodes) {
    if (!fits(pod, node)) continue;
    if (!pod.planned_node.empty() && observed_.nodes[node].name == pod.planned_node) return node;
    const Score own = score(pod, node);
    // Nodes are in order of their names: the first of equals stays.
    if (best && best_score <= own) continue;
    best = node;
    best_score = own;
  }
  return best;
}

void Room::move(const Pod& pod, size_t node, int sign) {
  for (const Need& need : needs_[pod.shape]) free(node, need.resource) -= sign * need.amount;
  if (!pod.group.empty()) in_group_[node][pod.group] += sign;
  neighbours_.move(pod, node, sign);
}

int64_t Room::capacity(size_t shape, const NodeList& nodes) const {
  int64_t sum = 0;
  for (const size_t node : nodes) {
    if (!is_allowed_[shape][node]) continue;
    int64_t most = INT32_MAX;
    for (const Need& need : needs_[shape]) {
      if (need.amount > 0) most = std::min(most, free(node, need.resource) / need.amount);
    }
    sum += std::max<int64_t>(0, most);
  }
  return sum;
}

int64_t Room::idle_accelerators(const NodeList& nodes) const {
  int64_t sum = 0;
  for (const size_t node : nodes) {
    for (const size_t r : accelerators_) sum += std::max<int64_t>(0, free(node, r));
  }
  return sum;
}

Explanation Room::explain(const Pod& pod) const {
  Explanation out;
  out.total_nodes = static_cast<int64_t>(observed_.nodes.size());
  std::map<std::string, int64_t> refusals;
  std::map<size_t, Tally> lacking;  // by need
  for (size_t n = 0; n < observed_.nodes.size(); ++n) {
    if (!is_allowed_[pod.shape][n]) {
      ++refusals[node_refusal(observed_.shapes[pod.shape], observed_.nodes[n])];
      continue;
    }
    if (has_room(pod.shape, n)) {
      if (!neighbours_.admits(pod, n)) ++refusals[neighbours_.refusal(pod, n)];
      continue;
    }
    for (size_t i = 0; i < needs_[pod.shape].size(); ++i) {
      const Need& need = needs_[pod.shape][i];
      const int64_t present = free(n, need.resource);
      if (present < need.amount) lacking[i].add(present, observed_.nodes[n].name);
    }
  }
  for (const auto& [reason, nodes] : refusals) out.misfits.push_back({reason, nodes, ""});
  for (const auto& [i, tally] : lacking) {
    const Need& need = needs_[pod.shape][i];
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
