// SPDX-License-Identifier: Apache-2.0
// When the nodes of a real cluster failed and were repaired, and as many nodes as one likes whose
// lives are like theirs. Pure.
#pragma once
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/rng.h"
#include "base/status.h"
#include "scenario/job_model.h"

namespace pelton::scenario {

class FaultTrace {
 public:
  /// The form of InfiniteHBD's fault_trace.json (SIGCOMM 2025): [{"node_id", "event_time": days,
  /// "event_type": "fault_start" or "fault_end"}, …]. `nodes` is how many were watched: those
  /// without a fault are not named. InvalidArgument names the event that is wrong.
  static base::Result<FaultTrace> parse(const base::Json& json, int nodes);

  /// Each node gets the whole history of one of the trace's, begun at a moment of its own and going
  /// round: worst nodes, long repairs and what is down at the beginning are as in the trace, and no
  /// two nodes fail together for being copies. In the order of time.
  std::vector<NodeEvent> resample(int nodes, base::Duration wall, base::Rng rng) const;

  double failures_per_node_day() const;

 private:
  using History = std::vector<std::pair<double, double>>;  ///< days down: from, to
  std::vector<History> histories_;                         ///< of all nodes
  double days_ = 0;
};

/// Ends of workers, at random moments, with so many in a node's day; merged into `events`.
void add_worker_exits(double per_node_day, int nodes, base::Duration wall, base::Rng rng,
                      std::vector<NodeEvent>& events);

}  // namespace pelton::scenario
