// SPDX-License-Identifier: Apache-2.0
// Free room on nodes while placements are being tried, and which node suits a shape best.
//
// Resources are numbered and amounts stand in one flat table, so that trying a gang on a thousand
// nodes is additions. A part of decide_placement; nobody else needs it.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "decide/placement/decision.h"
#include "decide/placement/observed.h"

namespace pelton::decide::placement {

class Room {
 public:
  /// `observed` must outlive it.
  explicit Room(const Observed& observed);

  /// Whether the shape may run on the node and there is room now.
  bool fits(size_t shape, size_t node) const;
  /// The best node that fits, or nullopt. `preferred`: taken if it fits.
  std::optional<size_t> best_node(size_t shape, const std::string& group,
                                  const std::string& preferred) const;
  void take(size_t shape, const std::string& group, size_t node) { move(shape, group, node, 1); }
  void give_back(size_t shape, const std::string& group, size_t node) {
    move(shape, group, node, -1);
  }
  /// Nodes that the shape may run on, were they empty of others: for ordering pods by difficulty.
  size_t candidates(size_t shape) const;
  /// Why the shape fits nowhere now.
  Explanation explain(size_t shape) const;
  size_t node_count() const { return observed_.nodes.size(); }

 private:
  struct Need {
    size_t resource;
    int64_t amount;
  };
  using Score = std::pair<std::pair<int64_t, int64_t>, int64_t>;
  int64_t& free(size_t node, size_t resource) { return free_[node * names_.size() + resource]; }
  int64_t free(size_t node, size_t resource) const {
    return free_[node * names_.size() + resource];
  }
  /// Why the node is out of the question whatever its room; "" where it is not.
  std::string refusal(const Shape& shape, const Node& node) const;
  Score score(size_t shape, const std::string& group, size_t node) const;
  void move(size_t shape, const std::string& group, size_t node, int sign);

  const Observed& observed_;
  std::vector<std::string> names_;                    ///< of resources, sorted
  std::vector<int64_t> free_;                         ///< [node][resource]
  std::vector<std::vector<Need>> needs_;              ///< [shape]
  std::vector<std::vector<size_t>> allowed_;          ///< [shape]: nodes not refused
  std::vector<std::vector<bool>> is_allowed_;         ///< [shape][node]
  std::vector<std::map<std::string, int>> in_group_;  ///< [node]: pods by group
  size_t cpu_ = 0;
};

}  // namespace pelton::decide::placement
