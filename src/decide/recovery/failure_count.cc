// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/failure_count.h"

#include <algorithm>
#include <set>
#include <string>

#include "decide/checkpoint/holding.h"

namespace pelton::decide::recovery {
namespace {

using Phase = Generation::Phase;

int64_t node_seconds_of(const Generation& over, base::Instant ended) {
  if (over.began == base::Instant() || ended < over.began) return 0;
  std::set<std::string> nodes;
  for (const Member& member : over.members) nodes.insert(member.node);
  return static_cast<int64_t>((ended - over.began).to_seconds() *
                              static_cast<double>(nodes.size()));
}

bool is_repeated(const std::vector<PastGeneration>& history) {
  const PastGeneration& last = history.back();
  for (auto before = history.rbegin() + 1; before != history.rend(); ++before) {
    if (before->phase == Phase::Waiting) continue;
    return is_same_failure(*before, last.failure, last.last_step >= 0);
  }
  return false;
}

bool has_memory_survived(const Evidence& evidence, const Generation& over) {
  std::set<std::string> gone;
  for (const Failure& failure : evidence.failures) {
    if (blames_node(failure.cause)) gone.insert(failure.pod_uid);
  }
  if (gone.empty()) return true;
  std::vector<std::vector<checkpoint::Holding>> held;
  for (const Member& member : over.members) {
    const auto pod = evidence.pods.find(member.pod_uid);
    if (pod == evidence.pods.end() || gone.contains(member.pod_uid)) continue;
    held.push_back(pod->second->report.held);
  }
  return checkpoint::newest_complete(held, {}).has_value();
}

}  // namespace

checkpoint::ObservedFailures count_failures(const Evidence& evidence, const Generation& over,
                                            const std::vector<PastGeneration>& history) {
  checkpoint::ObservedFailures counted = over.observed;
  if (over.phase != Phase::Running || history.empty()) return counted;
  const auto add = [](int64_t& count, int64_t more) {
    count = std::min(count + more, checkpoint::kMostObserved);
  };
  add(counted.node_seconds, node_seconds_of(over, history.back().ended));
  if (history.back().failure.cause.empty() || is_repeated(history)) return counted;
  add(has_memory_survived(evidence, over) ? counted.memory : counted.durable, 1);
  return counted;
}

}  // namespace pelton::decide::recovery
