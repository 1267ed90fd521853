// SPDX-License-Identifier: Apache-2.0
// What must hold of jobs that recover by a RecoveryPolicy, judged from what the store holds and
// from what workers did, never from the code under test:
//
//   - a generation's number never goes back, and what a number means is never changed
//   - no worker starts before its generation is stored, with its pod as the owner of its rank;
//     no rank of a generation runs twice at a time
//   - no two generations of a job step at a time: once a newer one has stepped an older one does
//     not, unless nobody can reach any of its nodes
//   - no generation is broken off without evidence: something has befallen the job, not long ago,
//     and of one event follow no more than a few generations
//   - a rank whose failure ends a generation was started in that generation
//   - a node whose device fails is tried a few times, and then no more
//   - the JobSet is restarted only after one of its pods has failed by itself
//   - no job is done before all its steps are
//   - a job that nothing befalls any more steps again soon, and at full width once enough of its
//     pods are there
//   - what a generation restores from memory is whole there, is the same for all its ranks, is
//     decided once and before any of them starts, and is the newest that its members held when the
//     question was put; and what is restored is no older than what was durable, nor is the durable
//     tier taken where the record names a later step: so no more steps are lost than have passed
//     since a tier's last save
//   - a pod is replaced, and a node quarantined, only after the record says so, and never twice
//   - goodput's categories sum to the wall time, to the nanosecond, and what it calls productive of
//     a job whose steps are alike is what those that were kept took
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "launch/follower.h"
#include "scenario/simulated_memory.h"

namespace pelton::scenario {

class TrainingCheckers {
 public:
  struct World {
    std::function<base::Instant()> now;
    std::function<void(std::string)> violate;
    /// Whether the node's agent lives and can reach the server.
    std::function<bool(const std::string& node)> is_reachable;
    std::function<const SimulatedMemory*()> memory = {};  ///< of the nodes, where there is one
  };
  explicit TrainingCheckers(World world) : world_(std::move(world)) {}

  // What the store shows.
  void on_change(const std::string& key, const base::Json* before, const base::Json* after);

  // What workers do.
  using Version = SimulatedMemory::Version;
  void on_worker_started(const std::string& job_uid, launch::WorkerId id,
                         const std::string& pod_uid, const std::optional<Version>& restore = {});
  void on_worker_ended(const std::string& job_uid, launch::WorkerId id);
  /// All ranks have come together and read their state: from `from`, or the durable tier, whose
  /// last step is `durable`.
  struct Restored {
    int64_t generation = 0;
    std::optional<Version> from;
    int64_t durable = -1;
    std::set<std::string> nodes;
  };
  void on_restored(const std::string& job_uid, const Restored& restored);
  struct Step {
    int64_t generation = 0, number = 0;
    int world_size = 0;
    std::set<std::string> nodes;
    base::Duration took;
  };
  /// `steps`: of the whole job.
  void on_step(const std::string& job_uid, const Step& step, int64_t steps);

  // What befalls the job.
  void on_fault(const std::string& job_uid);
  /// One of its ranks is slow for a while, which is no failure.
  void on_slowed(const std::string& job_uid) { jobs_[job_uid].was_slow = true; }
  /// Anybody's: a node, a link, the server.
  void on_fault() {
    any_fault_at_ = world_.now();
    ++any_faults_;
  }

  /// Asked while the run lasts: a job that nothing has befallen for long has to step.
  void check_progress();
  /// Everything has ended.
  void on_end();

  int64_t generations() const { return generations_; }
  int64_t steps() const { return steps_; }
  int64_t restored_from_memory() const { return restored_from_memory_; }

 private:
  struct Job {
    std::string name;
    int64_t number = 0;
    base::Json generation;
    std::map<int64_t, std::map<int, std::string>> owners;  ///< generation -> rank -> pod uid
    std::map<int64_t, std::map<int, std::string>> running;
    std::map<int64_t, std::set<int>> started;     ///< ranks, ever
    base::Instant stored_at;                      ///< the present generation, first
    base::Instant narrow_since;                   ///< Instant(): it is not, or it cannot help it
    std::map<std::string, bool> pods;             ///< by uid: whether it runs, and is to stay
    std::map<std::string, int> devices_lost;      ///< by node: generations that it ended so
    std::map<std::string, bool> replaced;         ///< by pod uid: whether the record still says so
    std::map<int64_t, base::Duration> step_took;  ///< when it was done last
    int64_t newest_step_of = 0;                   ///< the newest generation that has stepped
    base::Instant stepped_at, fault_at;
    int64_t faults = 0, recoveries = 0;
    int64_t done = -1, steps = 0;  ///< the last step done, and how many there are
    int width = 0, full_width = 0;
    int64_t restarts = 0;
    bool has_pod_failed = false;  ///< by itself, in this attempt
    bool has_ended = false;
    bool was_slow = false;  ///< once
  };
  void on_policy(const base::Json& policy);
  void on_entry(const base::Json& entry);
  void on_number(Job& job, const base::Json& entry);
  void check_blamed(Job& job, const base::Json& entry);
  void on_same_number(Job& job, const base::Json& generation);
  void on_replaced(Job& job, const base::Json& replaced);
  void on_jobset(const base::Json& jobset);
  void on_pod(const base::Json* before, const base::Json* after);
  void on_node(const base::Json* before, const base::Json& node);
  void check_closed(const std::string& uid, Job& job);
  void check_goodput(const Job& job, const base::Json& entry);
  void check_width(Job& job);

  World world_;
  std::map<std::string, Job> jobs_;     ///< by uid of the JobSet
  std::set<std::string> blamed_nodes_;  ///< that a record has called due for quarantine, or done
  base::Instant any_fault_at_;
  int64_t any_faults_ = 0, generations_ = 0, steps_ = 0, restored_from_memory_ = 0;
};

}  // namespace pelton::scenario
