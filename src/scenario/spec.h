// SPDX-License-Identifier: Apache-2.0
// A scenario file: what runs, what breaks, and what must be true in the end. Pure.
//
//   name: gangs-under-faults
//   cluster: {nodes: 16, accelerators: {google.com/tpu: 4}, onDemand: 2, boot: 20s..60s}
//   workload:
//     - {jobsets: 10, pods: 2..8, accelerators: 1, run: 5s..60s, arrive: 0s..60s,
//        failing: 0.05, maxRestarts: 3}
//     - {jobsets: 2, pods: 4..6, arrive: 0s..5s, maxRestarts: 3,       # recovers by a policy
//        training: {steps: 200..400, step: 80ms..120ms, checkpointEvery: 10, spares: 1,
//                   minReplicas: 2, memoryEvery: 4, memoryReplicas: 1}}
//   faults:
//     messageDelay: 1ms..20ms
//     lostMessages: 0.01
//     nodeDeaths: {every: 60s, downtime: 3s..40s}
//     serverCrashes: {every: 45s, downtime: 1s..5s}
//     controllerCrashes: {every: 30s, downtime: 0s..2s}
//     nodeDeletions: {every: 60s}                       # the Node object, not the node
//     nodesDeletedWhileBinding: 0.1                     # of gang bindings: at that very moment
//     staleReads: {share: 0.2, lag: 100ms..3s}          # as a cached API server answers
//     watchDelay: 0s..300ms
//     duplicatedEvents: 0.01                            # told twice in a row
//     droppedWatches: 0.002                             # of events: the watch ends there
//     slowWatchers: {every: 30s, downtime: 5s..30s}     # one takes nothing for so long
//     workerCrashes: {every: 10s}                       # SIGKILL of one rank
//     workerExceptions: {every: 30s}
//     workerStops: {every: 60s}                         # SIGSTOP
//     workerStalls: {every: 20s, downtime: 1s..20s}     # ten times slower, which is no failure
//     supervisorCrashes: {every: 10s}
//     agentCrashes: {every: 60s, downtime: 0s..3s}      # the node's pods run on
//     badSpares: 0.2                                    # of nodes: who joins a job there later
//                                                       # on fails at once
//     until: 5m
//     user: {deletesPods: {every: 20s}, deletesJobSets: {every: 60s}, edits: {every: 1s},
//            suspends: {every: 30s, downtime: 1s..5s}, scales: {every: 10s}}
//   expect: {within: 30m}
//
// Durations are "20ms", "5s", "2m"; "a..b" is drawn evenly from the seed. A fault that is not
// named does not happen. A server crash is mostly a loss of power, in the middle of a write or when
// an answer has just left that says that it is durable; sometimes only the process is killed.
// Where nodes die, one more dies when all work has ended. `cluster.history` is how many changes the
// server keeps for watches that resume (fewer: they find their place gone more often). Disturbed
// watches and stale gets befall the controllers and the nodes, stale lists the nodes alone, and
// nothing of it the user.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/rng.h"
#include "base/time.h"

namespace pelton::scenario {

/// A duration drawn evenly from [low, high].
struct DurationRange {
  base::Duration low, high;
  base::Duration draw(base::Rng& rng) const {
    return base::Duration::nanoseconds(rng.between(low.ns(), high.ns()));
  }
};

struct CountRange {
  int64_t low = 1, high = 1;
  int64_t draw(base::Rng& rng) const { return rng.between(low, high); }
};

/// Something that happens again and again, at exponential distances with this mean.
struct Recurring {
  base::Duration every;
  DurationRange downtime;
};

/// Pods that run supervisors and workers, by a RecoveryPolicy of the JobSet's own.
struct TrainingSpec {
  CountRange steps;              ///< of the job
  DurationRange step;            ///< of each rank; the slowest counts
  int64_t checkpoint_every = 1;  ///< steps
  int64_t spares = 0;            ///< among the pods
  int64_t min_replicas = 0;      ///< 0: no narrower than all but the spares
  int64_t memory_every = 0;      ///< steps, to the memory of the nodes; 0: never
  int64_t memory_replicas = 0;   ///< nodes that copy what a node's memory holds
};

struct WorkloadSpec {
  int64_t jobsets = 1;
  CountRange pods;           ///< of each JobSet's one replicated job
  int64_t accelerators = 1;  ///< per pod
  DurationRange run;         ///< how long a pod works
  DurationRange arrive;      ///< when the JobSet is created
  double failing = 0;        ///< share of pods that end with exit code 1
  int64_t max_restarts = 0;
  std::optional<TrainingSpec> training;  ///< then `run` and `failing` mean nothing
};

/// Lists and gets of the controllers and nodes that show the state of a while ago.
struct StaleReads {
  double share = 0;
  DurationRange lag;
};

/// What the user does besides submitting.
struct UserSpec {
  std::optional<Recurring> deletes_pods, deletes_jobsets;
  std::optional<Recurring> edits;     ///< an annotation, by reading, changing and replacing
  std::optional<Recurring> suspends;  ///< a JobSet, for the downtime
  std::optional<Recurring> scales;    ///< a Job of the user's own
};

struct Spec {
  std::string name;
  int64_t nodes = 1;
  int64_t on_demand = 0;                        ///< machines more, which come when asked for
  DurationRange boot;                           ///< of those
  std::map<std::string, int64_t> accelerators;  ///< per node
  int64_t history = 200'000;                    ///< changes that the server keeps for watches
  std::vector<WorkloadSpec> workload;
  DurationRange message_delay;
  double lost_messages = 0;  ///< share of exchanges that break, before or after they took effect
  std::optional<Recurring> node_deaths, server_crashes, controller_crashes, partitions;
  std::optional<Recurring> node_deletions, slow_watchers;
  std::optional<Recurring> worker_crashes, worker_exceptions, worker_stops, worker_stalls;
  std::optional<Recurring> supervisor_crashes, agent_crashes;
  double bad_spares = 0;  ///< share of nodes on which spares fail as soon as they are swapped in
  base::Duration until = base::Duration::max();  ///< no fault begins later
  double nodes_deleted_while_binding = 0;        ///< share of gang bindings
  StaleReads stale_reads;
  DurationRange watch_delay;
  double duplicated_events = 0;  ///< share of watch events that come twice
  double dropped_watches = 0;    ///< share of watch events after which the watch ends
  UserSpec user;
  /// Nothing that could make a healthy node look lost.
  bool is_calm() const;
  base::Duration within = base::Duration::minutes(30);  ///< of virtual time, until all has ended
};

/// InvalidArgument names the field, what is wrong and what would be right; unknown fields too.
base::Result<Spec> parse_spec(std::string_view yaml);
/// "20ms", "5s", "2m", "1h".
base::Result<base::Duration> parse_duration(std::string_view text);

}  // namespace pelton::scenario
