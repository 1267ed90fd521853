// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/membership.h"

#include <algorithm>
#include <optional>
#include <tuple>

namespace pelton::decide::recovery {
namespace {

using Slots = std::vector<std::optional<Member>>;

/// Puts whole replicas first, in their order; then those whose replica has a hole.
std::vector<Member> whole_replicas_first(const Slots& slots, const std::vector<Member>& old,
                                         int ranks_per_replica) {
  std::vector<Member> whole;
  std::vector<Member> rest;
  int ranks = 0;
  for (size_t i = 0, begin = 0; i < slots.size(); ++i) {
    ranks += old[i].ranks;
    if (ranks % ranks_per_replica != 0 && i + 1 < slots.size()) continue;
    const auto first = slots.begin() + static_cast<ptrdiff_t>(begin);
    const auto last = slots.begin() + static_cast<ptrdiff_t>(i + 1);
    const bool is_whole = std::all_of(first, last, [](const auto& slot) { return slot; });
    for (auto slot = first; slot != last; ++slot) {
      if (*slot) (is_whole ? whole : rest).push_back(**slot);
    }
    begin = i + 1;
  }
  whole.insert(whole.end(), rest.begin(), rest.end());
  return whole;
}

}  // namespace

std::vector<Member> spares_of(const Observed& observed, const std::set<std::string>& apart) {
  std::set<std::string> taken = apart;
  for (const Member& member : observed.record.generation.members) taken.insert(member.pod_uid);
  for (const Replacement& each : observed.record.replaced) taken.insert(each.pod_uid);
  std::vector<const PodFacts*> free;
  for (const PodFacts& pod : observed.pods) {
    if (taken.contains(pod.uid) || !pod.has_joined || pod.has_ended || pod.is_leaving) continue;
    if (pod.report.stage == PodReport::Stage::Refused || notice_of(observed, pod)) continue;
    const auto node = observed.nodes.find(pod.node);
    if (node != observed.nodes.end() &&
        (node->second.is_unreachable || node->second.is_quarantined)) {
      continue;
    }
    free.push_back(&pod);
  }
  // The first generation's ranks follow the pods' order; later, who is quickest there comes first.
  const bool is_first = observed.record.generation.members.empty();
  const auto key = [&](const PodFacts* pod) {
    const auto memory = observed.memories.find(pod->node);
    const size_t failures = memory == observed.memories.end() ? 0 : memory->second.failures.size();
    return std::make_tuple(failures, !is_first && !pod->report.parked, pod->order, pod->name);
  };
  std::sort(free.begin(), free.end(), [&](auto* a, auto* b) { return key(a) < key(b); });
  std::vector<Member> spares;
  for (const PodFacts* pod : free) {
    const auto node = observed.nodes.find(pod->node);
    spares.push_back({pod->name, pod->uid, pod->node, pod->address, pod->report.ranks,
                      node == observed.nodes.end() ? "" : node->second.rack});
  }
  return spares;
}

std::vector<Member> compose(const std::vector<Member>& old, const std::set<std::string>& without,
                            const std::vector<Member>& spares, int ranks_per_replica, int world) {
  Slots slots;
  size_t next = 0;
  size_t holes = 0;
  for (const Member& member : old) {
    slots.emplace_back(member);
    if (!without.contains(member.pod_uid)) continue;
    slots.back().reset();
    if (next < spares.size() && spares[next].ranks == member.ranks) {
      slots.back() = spares[next++];
    } else {
      ++holes;
    }
  }
  std::vector<Member> all;
  if (holes > 0) {
    all = whole_replicas_first(slots, old, ranks_per_replica);
  } else {
    for (const auto& slot : slots) all.push_back(*slot);
  }
  all.insert(all.end(), spares.begin() + static_cast<ptrdiff_t>(next), spares.end());
  std::vector<Member> chosen;
  for (Member& member : all) {
    if (member.ranks > world) continue;
    world -= member.ranks;
    chosen.push_back(std::move(member));
  }
  return world == 0 ? chosen : std::vector<Member>();
}

int ranks_at_hand(const std::vector<Member>& old, const std::set<std::string>& without,
                  const std::vector<Member>& spares) {
  int ranks = ranks_of(spares);
  for (const Member& member : old) {
    if (!without.contains(member.pod_uid)) ranks += member.ranks;
  }
  return ranks;
}

int ranks_of(const std::vector<Member>& members) {
  int ranks = 0;
  for (const Member& member : members) ranks += member.ranks;
  return ranks;
}

}  // namespace pelton::decide::recovery
