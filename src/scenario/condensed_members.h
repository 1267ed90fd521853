// SPDX-License-Identifier: Apache-2.0
// The members of a generation of very many nodes, as a decision is shown them: one by one where
// something has happened, and each stretch between as a single member of many ranks. Pure.
//
// decide/recovery looks at each member that it is given, and does the same with each rank of one.
// So a decision costs as much as has changed, however large the job is; ranks, widths and prices
// are those of the whole.
#pragma once
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "decide/recovery/records.h"

namespace pelton::scenario {

class CondensedMembers {
 public:
  /// A pod: the node that it is on, and which of the pods that it has had.
  struct Place {
    int node = 0;
    int incarnation = 0;
    bool operator==(const Place&) const = default;
  };

  CondensedMembers(int nodes, int ranks_per_node, int nodes_per_replica);
  void set(std::vector<Place> order);
  /// In the order of ranks.
  const std::vector<Place>& order() const { return order_; }
  int width() const { return static_cast<int>(order_.size()); }
  bool contains(Place place) const;
  int position_of(int node) const { return positions_[static_cast<size_t>(node)]; }  ///< or -1

  /// The replicas of these nodes member by member, the first one, and as many of the last as a
  /// narrower world may do without; of the others each stretch.
  std::vector<decide::recovery::Member> condense(const std::set<int>& nodes) const;
  struct Change {
    std::vector<Place> left, came;
  };
  /// Takes over what a decision made of condense(). Where pods were only replaced by others, this
  /// costs as much as there are of them; where the width changes, a copy of the order.
  Change apply(const std::vector<decide::recovery::Member>& before,
               const std::vector<decide::recovery::Member>& after);

  decide::recovery::Member member_of(Place place) const;
  static bool is_stretch(const decide::recovery::Member& member);
  static Place place_of(const decide::recovery::Member& member);

 private:
  decide::recovery::Member stretch(int from, int to) const;
  Change replace_all(std::vector<Place> order);

  int ranks_per_node_;
  int nodes_per_replica_;
  std::vector<Place> order_;
  std::vector<int> positions_;  ///< by node; -1: no member
};

}  // namespace pelton::scenario
