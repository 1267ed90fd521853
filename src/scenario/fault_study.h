// SPDX-License-Identifier: Apache-2.0
// One job on all nodes of a cluster for weeks, with and without each way to recover:
// `pelton sim --trace`. Pure.
//
// What a rung takes was measured on few ranks (docs/benchmarks.md) and is carried on to many by a
// stated law. With n nodes:
//
//   meeting   base + slope * log2(n): fork or start, all ranks meet, first step. Measured with 2
//             and 4 ranks; a tree of n has log2(n) levels
//   telling   n * (bytes of the record) / (bytes that the server sends per second): each node is
//             told the generation. The record names every member, so this grows with n squared;
//             told only its own place, it would with n
//   restoring state of a node / rate of the tier; the durable tier is shared, its time is given
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "scenario/job_model.h"

namespace pelton::scenario {

/// seconds(n) = base + slope * log2(n)
struct LogLaw {
  double base = 0, slope = 0;
  base::Duration at(int n) const;
};

struct StudyOptions {
  int nodes = 1000;
  double days = 30;
  uint64_t seed = 1;
  int nodes_per_replica = 8;
  double spares = 0.04;  ///< share of the nodes; in the trace 2.5 % are down at a time

  // From docs/benchmarks.md, "A JAX rank that is lost": 2 ranks 3.04 s, 4 ranks 3.83 s from a
  // parked parent; 5.45 s and 8.21 s as fresh processes. On a busy machine of two cores.
  LogLaw warm = {2.25, 0.79};
  LogLaw cold = {2.69, 2.76};
  /// Silence that makes a node lost (decide/workload/node_lifecycle/decide_node.h); a pidfd's word.
  double detect_node = 5, detect_worker = 0.02;
  /// Kubernetes' defaults: a node is unknown after 40 s, its pods go 300 s later.
  double plain_detect_node = 340;
  double bytes_per_member = 120;  ///< of a generation's record: see record_bytes_per_member()
  double server_rate = 1e9;       ///< assumed: bytes per second that one server sends
  // Per node. Rates of ../shared/reference/training.md: memcpy 19 GB/s, of which 0.9 and 0.8.
  double state_bytes = 16e9, save_rate = 17e9, memory_rate = 15e9, peer_rate = 12e9;
  double durable_seconds = 60;    ///< to drain or restore all: Orbax loads 405B in 59 s
  double plain_every = 1800;      ///< a checkpoint each half hour
  double plain_stall = 6.3;       ///< DCP async_save, 7B
  double worker_exits = 0.00049;  ///< per node-day: software, in Llama 3's 419 interruptions
};

struct StudyRow {
  std::string name;
  JobModel model;
};

/// The first is the peer, the second everything that we have, as it is; the others leave one part
/// out of the third.
std::vector<StudyRow> study_rows(const StudyOptions& options, double failures_per_node_day);

/// Of a generation's JSON, for pods with usual names.
double record_bytes_per_member();

/// For one row: its name, the result, and what the model's parameters were.
base::Json to_json(const StudyRow& row, const JobResult& result);

}  // namespace pelton::scenario
