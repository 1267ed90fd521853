// SPDX-License-Identifier: Apache-2.0
// Which node's memory holds a copy of which other node's, and of which steps. Pure: every node
// comes to the same answer by itself.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace pelton::decide::checkpoint {

/// A node of a job, in the order of its ranks.
struct ReplicaNode {
  std::string name;
  std::string rack;  ///< empty: nobody knows
};

/// Where copies of what `self` has go: at most `replicas` other nodes, none in a rack of its own
/// that is known. Every node gets about as many copies as it gives. Fewer, or none, where there are
/// no such nodes. Nodes may be repeated (several pods on one).
std::vector<std::string> replica_targets(const std::vector<ReplicaNode>& nodes,
                                         const std::string& self, int replicas);

/// Which steps are copied where the network cannot keep up with each: those that 2^n divides. Nodes
/// that find different n still have every step of the largest in common, without speaking.
class ReplicaPace {
 public:
  bool takes(int64_t step) const { return step % stride_ == 0; }
  int64_t stride() const { return stride_; }
  /// A copy is done; `passed` steps that are newer had been saved by then.
  void on_copied(size_t passed);

 private:
  int64_t stride_ = 1;
  int in_time_ = 0;  ///< copies in a row that no newer step overtook
};

}  // namespace pelton::decide::checkpoint
