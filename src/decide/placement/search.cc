// SPDX-License-Identifier: Apache-2.0
#include "decide/placement/search.h"

#include <algorithm>

namespace pelton::decide::placement {
namespace {

constexpr size_t kMaxSearchedPods = 64;
constexpr int kMaxSearchSteps = 20'000;

bool are_alike(const Pod& a, const Pod& b) {
  return a.shape == b.shape && a.matches == b.matches;
}

class Search {
 public:
  Search(const Observed& observed, Room& room, const Pods& pods)
      : room_(room), pods_(pods), node_of_(pods.size(), kNowhere) {
    // Affinity and spreading look at who is there already, so that the order matters.
    is_ordered_ = std::any_of(pods.begin(), pods.end(), [&](const Pod* pod) {
      const Shape& shape = observed.shapes[pod->shape];
      return !shape.near.empty() || !shape.spreads.empty();
    });
  }

  std::optional<NodeList> run() {
    if (!(is_ordered_ ? extend_in_any_order(0) : extend(0))) return std::nullopt;
    for (size_t i = 0; i < pods_.size(); ++i) room_.give_back(*pods_[i], node_of_[i]);
    return node_of_;
  }

 private:
  static constexpr size_t kNowhere = SIZE_MAX;

  bool try_on(size_t pod, size_t node) {
    if (--steps_ < 0 || !room_.fits(*pods_[pod], node)) return false;
    room_.take(*pods_[pod], node);
    node_of_[pod] = node;
    return true;
  }
  void undo(size_t pod) {
    room_.give_back(*pods_[pod], node_of_[pod]);
    node_of_[pod] = kNowhere;
  }

  /// Places the pods from `at` on; on success the room is taken.
  bool extend(size_t at) {
    if (at == pods_.size()) return true;
    // Pods that are alike are interchangeable: only ascending nodes are tried.
    const bool is_twin = at > 0 && are_alike(*pods_[at - 1], *pods_[at]);
    for (size_t node = is_twin ? node_of_[at - 1] : 0; node < room_.node_count(); ++node) {
      if (steps_ < 0) return false;
      if (!try_on(at, node)) continue;
      if (extend(at + 1)) return true;
      undo(at);
    }
    return false;
  }

  bool extend_in_any_order(size_t placed) {
    if (placed == pods_.size()) return true;
    Pods tried;
    for (size_t pod = 0; pod < pods_.size(); ++pod) {
      if (node_of_[pod] != kNowhere) continue;
      const bool is_known = std::any_of(tried.begin(), tried.end(), [&](const Pod* other) {
        return are_alike(*other, *pods_[pod]);
      });
      if (is_known) continue;
      tried.push_back(pods_[pod]);
      for (size_t node = 0; node < room_.node_count(); ++node) {
        if (steps_ < 0) return false;
        if (!try_on(pod, node)) continue;
        if (extend_in_any_order(placed + 1)) return true;
        undo(pod);
      }
    }
    return false;
  }

  Room& room_;
  const Pods& pods_;
  NodeList node_of_;
  bool is_ordered_ = false;
  int steps_ = kMaxSearchSteps;
};

}  // namespace

std::optional<NodeList> search(const Observed& observed, Room& room, const Pods& pods) {
  if (pods.size() > kMaxSearchedPods || pods.size() < 2) return std::nullopt;
  const bool is_plain = std::all_of(pods.begin(), pods.end(), [&](const Pod* pod) {
    return are_alike(*pod, *pods.front()) && !observed.shapes[pod->shape].has_rules();
  });
  if (is_plain) return std::nullopt;
  return Search(observed, room, pods).run();
}

}  // namespace pelton::decide::placement
