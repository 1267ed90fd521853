// SPDX-License-Identifier: Apache-2.0
// Placing a gang: which topology domains its pods go to, then which nodes.
//
//   1. Pods that must share a domain (exclusive topology, required topology, affinity to
//      themselves) are a bundle; the largest bundle goes first, coarse domains before fine ones.
//   2. A bundle tries the domains in order of fit: first where it leaves the fewest accelerators
//      idle, then the least room, then the first. All of it goes there, or none.
//   3. What is not bound to one domain fills as few as possible: the finest level (zone, block,
//      rack, node pool: whichever labels the nodes have) of which one domain holds all; else level
//      by level the largest domain first, and the smallest that holds the rest last. Pods that say
//      where they prefer to be are not packed: what they prefer comes first.
//   4. Within the last level: Room::best_node.
// Greedy: search.h tries more. A part of decide_placement.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "decide/placement/room.h"

namespace pelton::decide::placement {

using Pods = std::vector<const Pod*>;

class Packer {
 public:
  /// Both must outlive it.
  Packer(const Observed& observed, Room& room);

  /// A node for each pod, or nullopt. Leaves the room as it was.
  std::optional<NodeList> place(const Pods& pods);

  /// How far the last place() came at best.
  struct Failure {
    size_t placed = 0;
    std::string pod_name;  ///< the first that found no node then
    std::string topology;  ///< "8 pods must share one rack, at most 6 fit in one", or ""
    Explanation why;
  };
  const Failure& failure() const { return failure_; }

 private:
  using Indexes = std::vector<size_t>;  ///< into pods_
  using DomainOf = std::function<int(size_t node)>;
  struct Level {
    std::string key;
    std::vector<int> domain_of;  ///< [node]; -1: no such label
    size_t domains = 0;
  };
  struct Group {
    NodeList nodes;
    std::vector<int64_t> capacity;  ///< by shape, in the order of Demand
    int64_t idle = 0;               ///< accelerators
  };
  using Demand = std::map<size_t, int64_t>;  ///< shape -> pods

  bool place_all(const Indexes& pods, const NodeList& nodes, size_t stage);
  bool place_confined(const Indexes& pods, const NodeList& nodes, size_t stage, size_t term);
  bool pack_all(const Indexes& pods, const NodeList& nodes);
  bool pack_in_one(const Indexes& pods, const NodeList& nodes);
  Indexes pack(const Indexes& pods, const NodeList& nodes, size_t level);
  Indexes fill(const Indexes& pods, const NodeList& nodes);
  Indexes fill_once(const Indexes& pods, const NodeList& nodes);

  std::vector<Group> partition(const NodeList& nodes, const DomainOf& domain_of, bool keeps_rest,
                               const Demand& demand) const;
  Demand demand_of(const Indexes& pods) const;
  static int64_t holds(const Group& group, const Demand& demand);
  size_t next_group(const std::vector<Group>& groups, const Demand& demand) const;
  void note_failure(const Pod& pod);
  void roll_back(size_t mark);
  void choose_levels();
  void find_confinements();

  const Observed& observed_;
  Room& room_;
  std::vector<Level> known_levels_;
  Pods pods_;
  std::vector<const Level*> levels_;               ///< of this unit, coarse first
  std::vector<std::vector<size_t>> confinements_;  ///< [pod]: terms, coarse first
  std::vector<std::pair<size_t, size_t>> placed_;  ///< (pod, node), in order
  size_t peak_ = 0;
  Failure failure_;
};

}  // namespace pelton::decide::placement
