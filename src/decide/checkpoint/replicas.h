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

/// Which steps are copied where the network cannot keep up with each: those that 2^n divides. A
/// version counts where all nodes have copied the same one; so nodes tell each other their stride
/// with every copy, the largest is everybody's, and it is halved at steps that are the same for
/// all.
class ReplicaPace {
 public:
  bool takes(int64_t step) const { return step % stride_ == 0; }
  int64_t stride() const { return stride_; }
  /// The copy of `step` is done; so many newer steps that it takes had been saved by then.
  void on_copied(int64_t step, size_t passed);
  /// Another node's stride; what is none is ignored.
  void hear(int64_t stride);

 private:
  int64_t stride_ = 1;
  int in_time_ = 0;  ///< copies in a row that no newer step overtook
};

}  // namespace pelton::decide::checkpoint
