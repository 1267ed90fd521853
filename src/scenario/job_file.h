// SPDX-License-Identifier: Apache-2.0
// A job with its faults as a file for `pelton sim --job`, and what it comes to. Pure.
//
//   {"nodes": 4, "ranksPerNode": 1, "spares": 1, "minReplicas": 2, "ranksPerReplica": 1,
//    "rungs": ["RestartInPlace", "SwapSpare"],             // absent: all
//    "stepSeconds": 0.5, "checkpointEverySteps": 10, "saveStallSeconds": 0.01,
//    "startSeconds": 3, "wallSeconds": 600,
//    "costs": {"inPlace": 1.2, "podRestart": 5, "swap": 1.5, "shrink": 1.4, "grow": 1.4},
//    "detect": {"worker": 0, "hang": 1, "node": 5},
//    "faults": [{"at": 12.5, "kind": "worker", "rank": 2},
//               {"at": 40, "kind": "hang", "node": 1},
//               {"at": 90, "kind": "node", "node": 2, "backAt": 150}],
//    "plain": false, "maxRestarts": 0}
//
// Seconds throughout. `nodes` are the JobSet's pods, one a node, `spares` of them kept out as in a
// RecoveryPolicy. `costs` are from the failure to the end of the first new step, less a step, by
// what was done about it; `detect` is added where they do not contain it. A fault names a node or,
// but for "node", a rank: whoever has it then. `plain`: no policy; everything is started again
// (podRestart) at each fault, as soon as all nodes are there. `maxRestarts`: of the JobSet, where
// no rung is left. A checkpoint outlives every fault.
//
//   {"goodput": 0.93, "acceleratorGoodput": 0.91, "categories": {"PRODUCTIVE": 558.1, …},
//    "failures": 3, "decisions": 6, "taken": {"SwapSpare": 1, …}, "jobSetRestarts": 0,
//    "mostWorkLostSeconds": 4.9}
#pragma once
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "scenario/job_model.h"

namespace pelton::scenario {

struct JobFile {
  JobModel model;
  std::vector<NodeEvent> events;
};

/// InvalidArgument names the field, what is wrong and what would be right; unknown fields too.
base::Result<JobFile> parse_job_file(const base::Json& json);
base::Json to_json(const JobResult& result);

}  // namespace pelton::scenario
