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
//   - the JobSet is restarted only after one of its pods has failed by itself
//   - no job is done before all its steps are
//   - a job that nothing befalls any more steps again soon
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

namespace pelton::scenario {

class TrainingCheckers {
 public:
  struct World {
    std::function<base::Instant()> now;
    std::function<void(std::string)> violate;
    /// Whether the node's agent lives and can reach the server.
    std::function<bool(const std::string& node)> is_reachable;
  };
  explicit TrainingCheckers(World world) : world_(std::move(world)) {}

  // What the store shows.
  void on_change(const std::string& key, const base::Json* before, const base::Json* after);

  // What workers do.
  void on_worker_started(const std::string& job_uid, launch::WorkerId id,
                         const std::string& pod_uid);
  void on_worker_ended(const std::string& job_uid, launch::WorkerId id);
  void on_step(const std::string& job_uid, int64_t generation, int64_t step, int world_size,
               const std::set<std::string>& nodes, int64_t steps);

  // What befalls the job.
  void on_fault(const std::string& job_uid);
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

 private:
  struct Job {
    std::string name;
    int64_t number = 0;
    base::Json generation;
    std::map<int64_t, std::map<int, std::string>> owners;  ///< generation -> rank -> pod uid
    std::map<int64_t, std::map<int, std::string>> running;
    int64_t newest_step_of = 0;  ///< the newest generation that has stepped
    base::Instant stepped_at, fault_at;
    int64_t faults = 0, recoveries = 0;
    int64_t done = -1, steps = 0;  ///< the last step done, and how many there are
    int width = 0, full_width = 0;
    int64_t restarts = 0;
    bool has_pod_failed = false;  ///< by itself, in this attempt
    bool has_ended = false;
  };
  void on_policy(const base::Json& policy);
  void on_entry(const base::Json& entry);
  void on_number(Job& job, const base::Json& entry);
  void on_jobset(const base::Json& jobset);
  void on_pod(const base::Json* before, const base::Json& pod);

  World world_;
  std::map<std::string, Job> jobs_;  ///< by uid of the JobSet
  base::Instant any_fault_at_;
  int64_t any_faults_ = 0, generations_ = 0, steps_ = 0;
};

}  // namespace pelton::scenario
