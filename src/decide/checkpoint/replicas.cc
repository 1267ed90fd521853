// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/replicas.h"

#include <algorithm>
#include <map>

namespace pelton::decide::checkpoint {
namespace {

constexpr int64_t kLongestStride = int64_t{1} << 20;
/// So many copies in time say that the steps between could be taken too, from a step on that so
/// many strides divide: all nodes come to the same.
constexpr int kInTime = 8;
constexpr int64_t kAligned = 16;

/// A node of which nobody knows the rack is one by itself.
std::string rack_of(const ReplicaNode& node) {
  return node.rack.empty() ? "\n" + node.name : node.rack;
}

}  // namespace

std::vector<std::string> replica_targets(const std::vector<ReplicaNode>& nodes,
                                         const std::string& self, int replicas) {
  // Rack by rack. Who is as far along as the largest rack is wide is in another one, and each node
  // is so far along from exactly one.
  std::map<std::string, std::vector<const ReplicaNode*>> racks;
  std::vector<std::string> seen;
  for (const ReplicaNode& node : nodes) {
    if (std::find(seen.begin(), seen.end(), node.name) != seen.end()) continue;
    seen.push_back(node.name);
    racks[rack_of(node)].push_back(&node);
  }
  std::vector<const ReplicaNode*> ring;
  size_t widest = 0;
  size_t at = seen.size();
  size_t in_rack = 0;  ///< place of `self` in its rack
  for (const auto& [rack, members] : racks) {
    widest = std::max(widest, members.size());
    for (size_t i = 0; i < members.size(); ++i) {
      if (members[i]->name == self) {
        at = ring.size();
        in_rack = i;
      }
      ring.push_back(members[i]);
    }
  }
  if (at == seen.size()) return {};
  std::vector<std::string> others;
  for (size_t i = 0; i < ring.size(); ++i) {
    const ReplicaNode& other = *ring[(at + widest + i) % ring.size()];
    if (rack_of(other) != rack_of(*ring[at])) others.push_back(other.name);
  }
  // More than half of all in one rack: they share out those outside.
  if (widest * 2 > ring.size() && !others.empty() && racks[rack_of(*ring[at])].size() == widest) {
    std::sort(others.begin(), others.end());
    std::rotate(others.begin(), others.begin() + static_cast<ptrdiff_t>(in_rack % others.size()),
                others.end());
  }
  others.resize(std::min(others.size(), static_cast<size_t>(std::max(replicas, 0))));
  return others;
}

void ReplicaPace::on_copied(int64_t step, size_t passed) {
  if (passed > 1) {
    stride_ = std::min(stride_ * 2, kLongestStride);
    in_time_ = 0;
  } else if (passed == 1) {
    in_time_ = 0;
  } else if (++in_time_ >= kInTime && stride_ > 1 && step % (kAligned * stride_) == 0) {
    stride_ /= 2;
    in_time_ = 0;
  }
}

void ReplicaPace::hear(int64_t stride) {
  if (stride <= stride_ || stride > kLongestStride || (stride & (stride - 1)) != 0) return;
  stride_ = stride;
  in_time_ = 0;
}

}  // namespace pelton::decide::checkpoint
