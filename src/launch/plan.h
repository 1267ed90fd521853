// SPDX-License-Identifier: Apache-2.0
// From options and surroundings to the processes of one node of a worker group: who has which rank,
// where rank 0 is, and what each process is told. Pure.
//
// In an Indexed Job every pod gets the same command line. What differs between pods is in their
// surroundings: JOB_COMPLETION_INDEX is the node's rank, and the host name ends in it, so that
// rank 0's name is the same with a 0 at its end.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "decide/recovery/records.h"
#include "launch/options.h"

namespace pelton::launch {

/// What the plan depends on besides the options.
struct Surroundings {
  Environment environment;
  std::string hostname;    ///< "train-workers-0-2"
  std::string hosts_file;  ///< the text of /etc/hosts, which knows the pod's full name
  int cpus = 1;
};

/// The processes of this node. Rank r of the world is local rank r - node_rank * local_world_size.
struct GroupPlan {
  int nnodes = 1;
  int node_rank = 0;
  int local_world_size = 1;
  std::string master_addr;
  int master_port = 0;  ///< 0: any free one, which the acting side chooses
  int max_restarts = 0;
  base::Duration grace;
  std::string run_id;
  std::string role;
  std::string health_check;  ///< as in Options, as the next
  base::Duration health_check_timeout;
  bool may_park = true;
  std::string log_dir;
  int redirects = 0;
  bool limit_threads = false;  ///< several processes share the CPUs, and the user did not say how
  std::vector<std::string> command;
  std::vector<std::string> warnings;  ///< for people, before the start

  int world_size() const { return nnodes * local_world_size; }
};

/// InvalidArgument: the options do not fit the surroundings (a rank outside the group, a group of
/// several nodes without a rank).
base::Result<GroupPlan> plan_group(const Options& options, const Surroundings& around);

/// This pod's place in one generation.
struct Place {
  int64_t generation = 1;
  std::string job_uid;
  std::string run_id;  ///< of a run that is no job's, new at each start of `pelton run`
  int node_rank = 0;
  int nnodes = 1;
  int first_rank = 0;  ///< in the world, of local rank 0
  int local_world_size = 1;
  int world_size = 1;
  std::string master_addr;
  int master_port = 0;
  std::string restore;           ///< "GENERATION:STEP" in the nodes' memory; empty: none
  std::string failures;          ///< of the job's (decide/checkpoint/observed_failures.h)
  bool has_coordinator = false;  ///< a sidecar serves the rendezvous: no rank has to
  int attempt() const { return static_cast<int>(generation - 1); }
};
/// Where the plan alone says it: no controller gives this pod a place.
Place place_in(const GroupPlan& plan, int64_t generation, int master_port);
/// What PELTON_RESTORE says of it: "3:20", or nothing.
std::string restore_of(const decide::recovery::Generation& generation);
/// As member `index` of a generation.
Place place_in(const GroupPlan& plan, const decide::recovery::Generation& generation, size_t index);

/// The variables of one worker, to be put over our own environment. `page`: its heartbeat page.
Environment worker_environment(const GroupPlan& plan, const Place& place, int local_rank,
                               const std::string& page);

/// Where a worker's stream goes, "stdout" or "stderr"; empty: where ours goes.
std::string worker_log_path(const GroupPlan& plan, int local_rank, int attempt,
                            const std::string& stream);

/// The name of the pod with index 0 of the same Job, in full where the hosts file knows our own
/// full name. Empty where the host name does not end in "-index".
std::string name_of_pod_0(const std::string& hostname, const std::string& index,
                          const std::string& hosts_file);

}  // namespace pelton::launch
