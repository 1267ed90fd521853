// SPDX-License-Identifier: Apache-2.0
// What has happened to the members of a generation. Pure.
#pragma once
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "decide/recovery/observed.h"

namespace pelton::decide::recovery {

struct Evidence {
  /// By pod uid. The pods of the job, as facts.
  std::map<std::string, const PodFacts*> pods;
  std::set<std::string> lost;  ///< members whose pod is gone, has ended, leaves, or is unreachable
  std::set<std::string> refused;          ///< cannot follow the generation, and so no later one
  std::map<std::string, Notice> noticed;  ///< members that somebody will take away
  std::vector<Failure> failures;          ///< the one that came first, first
  bool all_succeeded = false;
};

/// Looks at record.generation's members.
Evidence observe_evidence(const Observed& observed);

/// The notice about the pod or its node; nullptr: none.
const Notice* notice_of(const Observed& observed, const PodFacts& pod);
bool is_unreachable(const Observed& observed, const std::string& node);

/// The same failure again: of the same cause, at the same step, or of the same rank before any step
/// of its generation was finished.
bool is_same_failure(const PastGeneration& past, const Failure& failure, bool made_progress);
/// A rank's exception (pelton.checkpoint.Damaged): what its generation was to restore is not what
/// was saved.
inline constexpr const char* kDamaged = "Damaged";
/// Its supervisor's cause for ranks whose pod has lost its network (decide/health/rank_watch.h).
inline constexpr const char* kLinkDown = "LinkDown";
/// Whether it may be the loss of a peer that ended this rank: an abort, or an exception that speaks
/// of connections.
bool may_be_of_a_peer(const Failure& failure);
/// A node that nothing is heard of, whose ranks their peers have lost.
inline constexpr const char* kNodeSilent = "NodeSilent";
/// The pod's health check says that its node is not fit to train on.
inline constexpr std::string_view kHealthCheck = "HealthCheck";
/// Whether the cause speaks against the node, not against the program.
bool blames_node(const std::string& cause);

}  // namespace pelton::decide::recovery
