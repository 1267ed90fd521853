// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/replicas.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace pelton::decide::checkpoint {
namespace {

/// Racks by their sizes; "" is one that nobody knows.
std::vector<ReplicaNode> cluster(const std::vector<std::pair<std::string, int>>& racks) {
  std::vector<ReplicaNode> nodes;
  for (const auto& [rack, size] : racks) {
    for (int i = 0; i < size; ++i) nodes.push_back({"n" + std::to_string(nodes.size()), rack});
  }
  return nodes;
}

std::string rack_in(const std::vector<ReplicaNode>& nodes, const std::string& name) {
  return std::find_if(nodes.begin(), nodes.end(), [&](auto& node) { return node.name == name; })
      ->rack;
}

/// The most copies that one node has to hold; checks that none is in its own rack.
int heaviest(const std::vector<ReplicaNode>& nodes, int replicas) {
  std::map<std::string, int> load;
  for (const ReplicaNode& node : nodes) {
    std::vector<std::string> targets = replica_targets(nodes, node.name, replicas);
    EXPECT_EQ(targets.size(), static_cast<size_t>(replicas)) << node.name;
    for (const std::string& target : targets) {
      EXPECT_NE(target, node.name);
      EXPECT_TRUE(node.rack.empty() || rack_in(nodes, target) != node.rack) << node.name;
      ++load[target];
    }
    std::sort(targets.begin(), targets.end());
    EXPECT_EQ(std::unique(targets.begin(), targets.end()), targets.end());
  }
  int most = 0;
  for (const auto& [name, copies] : load) most = std::max(most, copies);
  return most;
}

TEST(Replicas, EachNodeGivesOneAndGetsOne) {
  EXPECT_EQ(heaviest(cluster({{"", 2}}), 1), 1);
  EXPECT_EQ(heaviest(cluster({{"", 5}}), 1), 1);
  EXPECT_EQ(heaviest(cluster({{"", 5}}), 2), 2);
}

TEST(Replicas, NeverInTheSameRackAndEvenlyAmongTheOthers) {
  EXPECT_EQ(heaviest(cluster({{"a", 8}, {"b", 8}}), 1), 1);
  EXPECT_EQ(heaviest(cluster({{"a", 3}, {"b", 4}, {"c", 5}}), 1), 1);
  EXPECT_EQ(heaviest(cluster({{"a", 4}, {"b", 4}, {"c", 4}}), 2), 2);
  EXPECT_EQ(heaviest(cluster({{"a", 6}, {"b", 2}}), 1), 3) << "six share out two";
  EXPECT_EQ(heaviest(cluster({{"a", 2}, {"", 2}}), 1), 1);
}

TEST(Replicas, WhereThereIsNoOtherRackThereIsNoReplica) {
  EXPECT_TRUE(replica_targets(cluster({{"a", 4}}), "n1", 1).empty());
  EXPECT_TRUE(replica_targets(cluster({{"", 1}}), "n0", 1).empty());
  EXPECT_TRUE(replica_targets(cluster({{"", 2}}), "elsewhere", 1).empty());
  EXPECT_TRUE(replica_targets(cluster({{"", 2}}), "n0", 0).empty());
  EXPECT_EQ(replica_targets(cluster({{"a", 3}, {"b", 1}}), "n0", 2).size(), 1U);
}

TEST(Replicas, SeveralPodsOfANodeAreOneNode) {
  std::vector<ReplicaNode> nodes = cluster({{"", 2}});
  nodes.insert(nodes.end(), {nodes[0], nodes[1]});
  EXPECT_EQ(replica_targets(nodes, "n0", 3), std::vector<std::string>{"n1"});
}

TEST(ReplicaPace, ASlowNetworkCopiesEverySecondFourthEighthStep) {
  ReplicaPace pace;
  EXPECT_TRUE(pace.takes(7));
  pace.on_copied(7, 1);
  EXPECT_EQ(pace.stride(), 1) << "one newer is what there always is";
  pace.on_copied(8, 5);
  pace.on_copied(14, 3);
  EXPECT_EQ(pace.stride(), 4);
  EXPECT_TRUE(pace.takes(8));
  EXPECT_FALSE(pace.takes(10)) << "a node with another stride has 8 and 12 too, not always 10";
}

TEST(ReplicaPace, NodesComeToTheLargestStrideAndLeaveItAtTheSameStep) {
  ReplicaPace slow, fast;
  slow.on_copied(1, 2);
  slow.on_copied(2, 2);
  fast.hear(slow.stride());
  EXPECT_EQ(fast.stride(), 4);
  for (const int64_t other : {int64_t{0}, int64_t{-8}, int64_t{6}, int64_t{1} << 40}) {
    fast.hear(other);
    EXPECT_EQ(fast.stride(), 4) << other;
  }
  // They count from different moments on.
  for (int64_t step = 4; step <= 20; step += 4) fast.on_copied(step, 0);
  for (int64_t step = 24; step < 128; step += slow.stride()) {
    slow.on_copied(step, 0);
    fast.on_copied(step, 0);
    EXPECT_EQ(slow.stride(), fast.stride()) << step;
  }
  EXPECT_LT(slow.stride(), 4);
}

}  // namespace
}  // namespace pelton::decide::checkpoint
