// SPDX-License-Identifier: Apache-2.0
// The state of all nodes while placements are being tried, and which node suits a pod best.
//
// Resources are numbered and amounts stand in one flat table, so that trying a gang on a thousand
// nodes is additions. A part of decide_placement; nobody else needs it.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "decide/placement/decision.h"
#include "decide/placement/neighbours.h"
#include "decide/placement/observed.h"

namespace pelton::decide::placement {

using NodeList = std::vector<size_t>;  ///< indexes into Observed::nodes

class Room {
 public:
  /// `observed` must outlive it.
  explicit Room(const Observed& observed);

  /// Whether the pod may run on the node, there is room now, and its neighbours agree.
  bool fits(const Pod& pod, size_t node) const;
  /// The best of `nodes` that fits, or nullopt. The pod's planned node is taken if it fits.
  std::optional<size_t> best_node(const Pod& pod, const NodeList& nodes) const;
  void take(const Pod& pod, size_t node) { move(pod, node, 1); }
  void give_back(const Pod& pod, size_t node) { move(pod, node, -1); }

  /// How many pods of the shape, and nothing else, there is room for on the nodes.
  int64_t capacity(size_t shape, const NodeList& nodes) const;
  /// Accelerators that lie idle on the nodes.
  int64_t idle_accelerators(const NodeList& nodes) const;
  /// Nodes that the shape may run on, were they empty of others: for ordering pods by difficulty.
  size_t candidates(size_t shape) const { return allowed_count_[shape]; }
  /// Why the pod fits nowhere now.
  Explanation explain(const Pod& pod) const;

  const NodeList& all_nodes() const { return all_nodes_; }
  size_t node_count() const { return observed_.nodes.size(); }
  const Neighbours& neighbours() const { return neighbours_; }

 private:
  struct Need {
    size_t resource;
    int64_t amount;
  };
  /// Untolerated soft taints, node preference, pod preference, crowd, idle accelerators left over,
  /// siblings, free cpu: less is better.
  using Score = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t>;
  int64_t& free(size_t node, size_t resource) { return free_[node * names_.size() + resource]; }
  int64_t free(size_t node, size_t resource) const {
    return free_[node * names_.size() + resource];
  }
  bool has_room(size_t shape, size_t node) const;
  Score score(const Pod& pod, size_t node) const;
  void move(const Pod& pod, size_t node, int sign);
  void look_at(const Shape& shape);

  const Observed& observed_;
  Neighbours neighbours_;
  NodeList all_nodes_;
  std::vector<std::string> names_;                                  ///< of resources, sorted
  std::vector<size_t> accelerators_;                                ///< indexes into names_
  std::vector<int64_t> free_;                                       ///< [node][resource]
  std::vector<std::vector<Need>> needs_;                            ///< [shape]
  std::vector<size_t> allowed_count_;                               ///< [shape]
  std::vector<std::vector<bool>> is_allowed_;                       ///< [shape][node]: not refused
  std::vector<std::vector<std::pair<int64_t, int64_t>>> dislikes_;  ///< [shape][node]; or empty
  std::vector<std::map<std::string, int>> in_group_;                ///< [node]: pods by group
  size_t cpu_ = 0;
};

}  // namespace pelton::decide::placement
