// SPDX-License-Identifier: Apache-2.0
// What a RecoveryPolicy's status holds of one JobSet, and of the nodes: all that a controller
// knows, so that its successor knows as much. Pure; on the wire JSON with the members below.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "decide/goodput/folded.h"
#include "decide/recovery/policy.h"
#include "decide/recovery/records.h"

namespace pelton::decide::recovery {

/// One way to go on, with its price: what all accelerators together lose by it.
struct Alternative {
  Rung rung = Rung::Wait;
  bool possible = false;
  double lost_accelerator_seconds = 0;
  std::string why;  ///< why it is impossible, or where the price comes from
};

/// The failure that a generation ended by. Empty cause: it did not end by one.
struct Failure {
  std::string cause;  ///< "SIGKILL", "NodeUnreachable", "PodGone", …
  std::string detail;
  int rank = -1;  ///< the first of the member, where the member as a whole failed
  std::string pod_uid;
  std::string node;
  int64_t step = -1;  ///< the last step begun there
  base::Instant at;
};

struct LastDecision {
  Rung rung = Rung::Start;
  std::string reason;
  base::Instant at;
  std::vector<Alternative> alternatives;
};

/// A generation that is over (the last one, once it has finished, included). `folded` > 0: that
/// many old ones in one entry, from the first one's beginning to the last one's end.
struct PastGeneration {
  int64_t number = 0;
  int64_t folded = 0;
  Generation::Phase phase = Generation::Phase::Running;
  Rung rung = Rung::Start;  ///< by which it began
  base::Instant began, ended;
  int world_size = 0, full_world_size = 0;
  std::string reason;  ///< why it began
  Failure failure;     ///< why it ended
  int64_t first_step = -1, last_step = -1;
  base::Instant first_step_at, last_step_at;
  std::map<std::string, double> phase_seconds;
  std::optional<checkpoint::MemoryVersion> restore;  ///< Generation::restore
  std::optional<goodput::Folded> sums = {};          ///< where folded: of all of them
};

/// A pod that is to be deleted, so that its Job makes another. Written before it is done.
struct Replacement {
  std::string pod, pod_uid, node, why;
  bool force = false;  ///< its node cannot be asked; its generation is over
  base::Instant at;
};

struct JobRecord {
  static constexpr size_t kHistoryMax = 50;
  std::string name, uid;
  int64_t attempt = 0;  ///< status.restarts of the JobSet that `generation` belongs to
  int full_world_size = 0;
  Generation generation;
  LastDecision last;
  /// Known to be durable, because a notice was answered by it; -1: none. What memory holds of older
  /// steps is not restored.
  int64_t durable_step = -1;
  std::vector<PastGeneration> history;  ///< oldest first
  std::vector<Replacement> replaced;    ///< oldest first
  std::vector<base::Json> conditions;   ///< which rungs are off, and the like
};
base::Json to_json(const JobRecord& record);
/// What cannot be read is left out: the record is our own, and a job must go on.
JobRecord job_record_of(const base::Json& json);

/// A node that failed a job.
struct NodeMemory {
  enum class Quarantine : uint8_t { None, Due, Done };
  std::vector<base::Instant> failures;
  std::string cause;  ///< of the last one
  Quarantine quarantine = Quarantine::None;
  base::Instant quarantined_at;
};
using NodeMemories = std::map<std::string, NodeMemory>;
base::Json to_json(const NodeMemories& nodes);
NodeMemories node_memories_of(const base::Json& json);

/// Appends `past`, and folds the two oldest while there are more than kHistoryMax, keeping the sums
/// that goodput is made of.
void remember(JobRecord& record, PastGeneration past);

}  // namespace pelton::decide::recovery
