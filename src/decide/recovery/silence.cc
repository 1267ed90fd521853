// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/silence.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pelton::decide::recovery {
namespace {

/// Leases are renewed five times in the time for which they are good; so this is one and a half
/// times the usual.
base::Duration patience(const NodeFacts& node) {
  return node.lease * 3 / 10;
}

}  // namespace

Silence look_for_silence(const Observed& observed, const Evidence& evidence, base::Instant now) {
  Silence silence;
  if (!evidence.lost.empty() || !evidence.refused.empty() || evidence.failures.empty()) {
    return silence;
  }
  base::Instant first = now;
  std::set<std::string> failed;
  for (const Failure& failure : evidence.failures) {
    if (!may_be_of_a_peer(failure)) return silence;
    first = std::min(first, failure.at);
    failed.insert(failure.pod_uid);
  }
  const Generation& generation = observed.record.generation;
  for (const Member& member : generation.members) {
    const auto node = observed.nodes.find(member.node);
    if (failed.contains(member.pod_uid) || node == observed.nodes.end()) continue;
    const NodeFacts& facts = node->second;
    if (!facts.heard || *facts.heard >= first || now - first >= facts.lease) continue;
    const base::Instant patient_until = *facts.heard + patience(facts);
    if (now >= patient_until) {
      Failure gone;
      gone.cause = kNodeSilent;
      gone.detail = fmt::format("not heard of for {:.1f} s, and its peers have lost it",
                                (now - *facts.heard).to_seconds());
      gone.rank = generation.first_rank_of(*generation.index_of(member.pod_uid));
      gone.pod_uid = member.pod_uid;
      gone.node = member.node;
      silence.gone = std::move(gone);
      return silence;
    }
    silence.until = silence.until ? std::min(*silence.until, patient_until) : patient_until;
    silence.waits_for =
        fmt::format("ranks have lost a peer: whether node {} is still heard of", member.node);
  }
  return silence;
}

}  // namespace pelton::decide::recovery
