// SPDX-License-Identifier: Apache-2.0
// What a RecoveryPolicy asks for, and the rungs of the ladder by which a job recovers.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "base/time.h"

namespace pelton::decide::recovery {

/// How a generation began. Those from RestartInPlace to Wait are the ladder, cheapest first.
enum class Rung : uint8_t {
  Start,           ///< the first one
  RestartInPlace,  ///< the same pods
  RestartPod,      ///< the bad pod is deleted; the next generation begins when its like has joined
  SwapSpare,       ///< a pod that no generation listed takes the bad one's ranks
  Shrink,          ///< without the bad one, by whole data-parallel replicas
  ChangeMesh,      ///< without the bad one, onto a mesh that the policy declares
  Wait,            ///< nobody runs until there are enough pods again
  Grow,            ///< wider, with pods that have come back
  Finish,          ///< every rank has succeeded
  Stop,            ///< given up, with a diagnosis
};
const char* rung_name(Rung rung);  ///< "RestartInPlace"
/// InvalidArgument names `field` and what it may be.
base::Result<Rung> rung_of(const base::Json& json, const std::string& field);

/// Where a checkpoint may lie besides the durable tier.
enum class Tier : uint8_t {
  Memory,  ///< of the node
  Peers,   ///< copies of that in the memory of other nodes
};

/// A number of ranks on which the job can run besides whole replicas.
struct Mesh {
  std::string name;
  int ranks = 0;
};

/// The breaker: at most so many of each in any window.
struct Budget {
  base::Duration window = base::Duration::seconds(600);
  int generations = 60;
  int pod_replacements = 20;
  int quarantines = 3;
};

/// A replica is `ranks_per_replica` ranks that together hold the whole model.
struct Policy {
  int min_replicas = 0;  ///< 0: as many as max
  int max_replicas = 0;  ///< 0: as many as the JobSet's pods make, without the spares
  int ranks_per_replica = 1;
  /// Of the tiers in RAM, which the job may use; the durable one is its script's.
  std::set<Tier> tiers = {Tier::Memory, Tier::Peers};
  /// Nodes that hold a copy of what a node's memory has of a checkpoint, besides it; 0 without
  /// Tier::Peers.
  int memory_replicas = 1;
  int spares = 0;  ///< pods of the JobSet that are kept out of the generations
  std::vector<Mesh> meshes;
  std::set<Rung> rungs = {Rung::RestartInPlace, Rung::RestartPod, Rung::SwapSpare,
                          Rung::Shrink,         Rung::ChangeMesh, Rung::Grow};
  Budget budget;
  /// How often each rung is tried against the very same failure; then others, or none, are left.
  int patience = 1;
};

/// The spec of a RecoveryPolicy. InvalidArgument names the field that is wrong and why.
base::Result<Policy> policy_of(const base::Json& spec);

/// The world sizes that the policy allows where all pods together give `total` ranks of `per_pod`
/// each, largest first. Empty: it can never begin.
std::vector<int> allowed_worlds(const Policy& policy, int total, int per_pod);

}  // namespace pelton::decide::recovery
