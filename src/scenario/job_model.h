// SPDX-License-Identifier: Apache-2.0
// One training job and what happens to its nodes, as numbers: decide/recovery decides as it does in
// a cluster, and what follows takes the time that was measured. What comes out is where the job's
// time went. Pure: one call, one answer.
//
// Unlike a scenario (scenario/cluster.h) there is no server, no message and no process: a month of
// 65,000 nodes is a few ten thousand events. A decision is shown only the members to which
// something has happened (scenario/condensed_members.h).
//
// The model: all ranks step together, so a failure stops all of them, and the work since the last
// save that outlives the failure is lost. On fewer ranks the same global batch takes
// proportionally longer. A worker's end leaves its node's memory as it is; a node takes its memory
// along, and the state comes from a peer's unless that one went within `replicate`.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "decide/goodput/category.h"
#include "decide/recovery/policy.h"

namespace pelton::scenario {

/// Something that happens to a node, or to a worker on it.
struct NodeEvent {
  enum class Kind : uint8_t { Down, Up, WorkerExit, WorkerHang };
  base::Duration at;  ///< since the job was asked for
  Kind kind = Kind::Down;
  int node = 0;
  int rank = -1;  ///< of a worker, where it is >= 0: instead of `node`, whoever has that rank then
};

/// Where checkpoints go. A tier without `every` does not exist.
struct Tier {
  base::Duration every;    ///< of work at full width, between two saves
  base::Duration stall;    ///< by which each save holds up the step
  base::Duration restore;  ///< added to what the rung takes
};

/// From a failure to the end of the first new step, less that step; of the last rung taken. Without
/// what Tier::restore and JobModel::detect add.
struct RungCosts {
  base::Duration in_place = base::Duration::seconds(1);
  base::Duration pod_restart = base::Duration::seconds(5);
  base::Duration swap = base::Duration::milliseconds(1500);
  base::Duration shrink = base::Duration::milliseconds(1300);
  base::Duration grow = base::Duration::milliseconds(1300);
};

struct JobModel {
  int nodes = 1;  ///< one pod each; `policy.spares` of them are kept out
  int ranks_per_node = 1;
  decide::recovery::Policy policy;
  /// Without a RecoveryPolicy: whatever fails, everything is started again at full width, as soon
  /// as enough nodes are there; `costs.pod_restart` is what that takes.
  bool is_plain = false;
  base::Duration step = base::Duration::seconds(1);  ///< at full width
  Tier memory, durable;
  bool has_peers = true;  ///< memory's saves are on another node too
  base::Duration replicate = base::Duration::seconds(30);  ///< until a lost copy is made good
  RungCosts costs;
  base::Duration detect_worker, detect_hang, detect_node;
  base::Duration start;  ///< until the first step
  int max_restarts = 0;  ///< of the JobSet, where no rung is left; each takes costs.pod_restart
  base::Duration wall = base::Duration::hours(1);
};

struct JobResult {
  std::map<decide::goodput::Category, base::Duration> categories;  ///< they sum to the wall time
  double goodput = 0;                                              ///< the share of Productive
  double accelerator_goodput = 0;  ///< the same, where a step on fewer ranks counts for less
  int64_t failures = 0;            ///< that ended a generation
  int64_t decisions = 0;           ///< asked of decide/recovery
  std::map<decide::recovery::Rung, int64_t> taken;
  base::Duration lost_most;  ///< of work, by one failure
  int restarts = 0;          ///< of the JobSet
  bool has_stopped = false;  ///< no rung or restart was left; the rest of the time is Other
  std::string diagnosis;     ///< then
};

/// `events` in the order of time; nodes named there that are down at zero are told by Down at zero.
JobResult simulate_job(const JobModel& model, const std::vector<NodeEvent>& events);

}  // namespace pelton::scenario
