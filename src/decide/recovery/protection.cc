// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/protection.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "decide/checkpoint/replicas.h"

namespace pelton::decide::recovery {
namespace {

const PodReport* report_of(const Observed& observed, const Member& member) {
  for (const PodFacts& pod : observed.pods) {
    if (pod.uid == member.pod_uid) return &pod.report;
  }
  return nullptr;
}

/// Why there will be no replica of some node's, where the members and the policy say so.
std::string why_never(const Policy& policy, const Generation& generation) {
  if (policy.memory_replicas == 0) return ": spec.memoryReplicas of the policy is 0";
  std::vector<checkpoint::ReplicaNode> nodes;
  for (const Member& member : generation.members) nodes.push_back({member.node, member.rack});
  for (const checkpoint::ReplicaNode& node : nodes) {
    if (!checkpoint::replica_targets(nodes, node.name, 1).empty()) continue;
    return fmt::format(": the job has no node outside node {}'s rack{} to copy to", node.name,
                       node.rack.empty() ? "" : " " + node.rack);
  }
  return "";
}

}  // namespace

std::optional<Protection> protection_of(const Observed& observed, const Generation& generation) {
  std::map<int, std::set<std::string>> nodes;  ///< by writer
  checkpoint::MemoryVersion newest{-1, -1};
  int writers = 0;
  for (const Member& member : generation.members) {
    const PodReport* report = report_of(observed, member);
    if (report == nullptr) continue;
    for (const checkpoint::Holding& holding : report->held) {
      const bool counts =
          holding.version.generation == generation.number || holding.version == generation.restore;
      if (!counts) continue;
      if (holding.version > newest) {
        newest = holding.version;
        writers = holding.writers;
      }
      for (const int part : holding.parts) nodes[part].insert(member.node);
    }
  }
  if (writers == 0) return std::nullopt;
  int alone = 0;
  for (int writer = 0; writer < writers; ++writer) alone += nodes[writer].size() < 2 ? 1 : 0;
  if (alone == 0)
    return Protection{true, "Replicated", "each part lies in the memory of two nodes"};
  return Protection{
      false, "Unprotected",
      fmt::format("{} of {} parts of the checkpoints in memory lie on one node only{}", alone,
                  writers, why_never(observed.policy, generation))};
}

}  // namespace pelton::decide::recovery
