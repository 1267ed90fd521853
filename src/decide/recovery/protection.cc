// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/protection.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "decide/checkpoint/replicas.h"

namespace pelton::decide::recovery {
namespace {

/// Why there will be no replica of some node's, where the members and the policy say so.
std::string why_never(const Policy& policy, const Generation& generation) {
  if (policy.memory_replicas == 0)
    return ": the policy wants no copies (spec.memoryReplicas, spec.tiers)";
  std::vector<checkpoint::ReplicaNode> nodes;
  for (const Member& member : generation.members) nodes.push_back({member.node, member.rack});
  for (const checkpoint::ReplicaNode& node : nodes) {
    if (!checkpoint::replica_targets(nodes, node.name, 1).empty()) continue;
    return fmt::format(": the job has no node outside node {}'s rack{} to copy to", node.name,
                       node.rack.empty() ? "" : " " + node.rack);
  }
  return "";
}

/// Who fails together.
std::string domain_of(const Member& member) {
  return member.rack.empty() ? "node " + member.node : "rack " + member.rack;
}

/// One version, as the members hold it.
struct Spread {
  int writers = 0;
  std::map<int, std::set<std::string>> domains;  ///< by writer

  bool is_complete() const { return domains.size() == static_cast<size_t>(writers); }
  /// Those with each of which some part is lost, and how many parts have just one.
  std::set<std::string> indispensable() const {
    std::set<std::string> all;
    for (const auto& [writer, where] : domains) {
      if (where.size() == 1) all.insert(*where.begin());
    }
    return all;
  }
  int alone() const {
    return static_cast<int>(std::count_if(domains.begin(), domains.end(),
                                          [](auto& each) { return each.second.size() == 1; }));
  }
};

/// Ascending. Absent: not of one moment.
std::optional<std::map<checkpoint::MemoryVersion, Spread>> spreads(const Observed& observed,
                                                                   const Generation& generation) {
  std::map<checkpoint::MemoryVersion, Spread> versions;
  int64_t moment = 0;
  std::unordered_map<std::string_view, const PodReport*> reports;
  for (const PodFacts& pod : observed.pods) reports.emplace(pod.uid, &pod.report);
  for (const Member& member : generation.members) {
    const auto found = reports.find(member.pod_uid);
    if (found == reports.end() || found->second->generation != generation.number) {
      return std::nullopt;
    }
    const PodReport* report = found->second;
    if (report->held_at == 0) continue;  // it has no memory for checkpoints
    if (moment != 0 && moment != report->held_at) return std::nullopt;
    moment = report->held_at;
    for (const checkpoint::Holding& holding : report->held) {
      const bool counts =
          holding.version.generation == generation.number || holding.version == generation.restore;
      if (!counts) continue;
      Spread& spread = versions[holding.version];
      spread.writers = holding.writers;
      for (const int part : holding.parts) {
        if (part < holding.writers) spread.domains[part].insert(domain_of(member));
      }
    }
  }
  return versions;
}

}  // namespace

ProtectionNow protection_of(const Observed& observed, const Generation& generation) {
  const auto versions = spreads(observed, generation);
  if (!versions) return {.is_unknown = true, .protection = {}};
  if (versions->empty()) return {};
  const std::pair<const checkpoint::MemoryVersion, Spread>* newest = nullptr;
  std::set<std::string> fatal;  ///< with each of which no version remains
  for (auto each = versions->rbegin(); each != versions->rend(); ++each) {
    if (!each->second.is_complete()) continue;
    std::set<std::string> with = each->second.indispensable();
    if (newest != nullptr)
      std::erase_if(with, [&](auto& domain) { return !fatal.contains(domain); });
    if (newest == nullptr) newest = &*each;
    fatal = std::move(with);
  }
  Protection found{false, "Unprotected", "no version is in memory as a whole"};
  if (newest != nullptr && fatal.empty()) {
    found = {true, "Replicated", "whichever node is lost, the others hold all parts of a version"};
  } else if (newest != nullptr) {
    found.message =
        fmt::format("{} of {} parts of step {} lie in one place only, and all is lost with {}{}",
                    newest->second.alone(), newest->second.writers, newest->first.step,
                    *fatal.begin(), why_never(observed.policy, generation));
  }
  return {.is_unknown = false, .protection = std::move(found)};
}

}  // namespace pelton::decide::recovery
