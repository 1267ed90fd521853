// SPDX-License-Identifier: Apache-2.0
// The memory tier of checkpoints on one node: for each job a directory in RAM that its pods share
// and that outlives them, and outlives the agent.
//
// NODE/jobs/UID/
//   job.json    who it belongs to: written before the memory is mounted
//   memory/     a tmpfs; writes beyond the quota get ENOSPC
//
// It stays while a pod of the job is here, or the job's RecoveryPolicy still lists the job as
// unfinished (its next pod may come back here); then it is given back.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/object_watches.h"
#include "base/json.h"
#include "world/world.h"

namespace pelton::agent {

/// A JobSet, and the policy by which it recovers.
struct SupervisedJob {
  std::string namespace_name;
  std::string policy;  ///< name of the RecoveryPolicy
  std::string uid;     ///< of the JobSet
};

class JobMemory {
 public:
  /// Who does something with the memory while it is there.
  class Follower {
   public:
    virtual ~Follower() = default;
    /// It is mounted. May come again.
    virtual void on_open(const std::string& job_uid, const std::string& directory) = 0;
    /// After on_open(), and after each change. Null: there is no such policy.
    virtual void on_policy(const std::string& job_uid, const base::Json* policy) = 0;
    /// It is about to be given back: nothing in it may stay open.
    virtual void on_close(const std::string& job_uid) = 0;
  };

  /// `quota_bytes` is each job's. `objects` must outlive it.
  JobMemory(world::World world, ObjectWatches& objects, std::string node_directory,
            int64_t quota_bytes);

  /// From now on; it must outlive this.
  void set_follower(Follower* follower) { follower_ = follower; }

  /// Finds what an earlier agent left. Pods that use some say so (use()) within the same turn of
  /// the loop, and keep it.
  void adopt();

  /// Held by each pod of the job that is here.
  using Use = std::shared_ptr<void>;
  Use use(const SupervisedJob& job);
  /// Makes the memory; Ok where it is there, and where the policy allows none. Waits until it is
  /// known what the policy says. Call while a use is held.
  void prepare(const SupervisedJob& job, std::function<void(base::Status)> done);
  std::string directory(const std::string& job_uid) const;
  /// Whether the policy, as far as it is known, lets the job use it (spec.tiers).
  bool is_allowed(const std::string& job_uid) const;

 private:
  struct Entry {
    SupervisedJob job;
    std::weak_ptr<void> use;
    ObjectWatches::Handle watch;
    bool is_open = false;                        ///< mounted, as far as we know
    base::Json policy;                           ///< as it was seen last
    bool is_known = false;                       ///< it was seen, or there is none
    std::vector<std::function<void()>> waiting;  ///< until it is
    bool is_over = false;      ///< by what the policy says now; without word of it: no
    bool is_removing = false;  ///< then is there no more for a new use
  };
  Entry& entry(const SupervisedJob& job);
  std::string home(const std::string& job_uid) const;
  void remove_if_due(const std::string& job_uid);
  void open(const std::string& job_uid);

  world::World world_;
  ObjectWatches& objects_;
  std::string node_directory_;
  int64_t quota_bytes_;
  std::map<std::string, Entry> entries_;  ///< by uid of the job
  Follower* follower_ = nullptr;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// The entry of the job in a RecoveryPolicy's status; null where there is none.
const base::Json& entry_of_job(const base::Json* policy, const std::string& job_uid);

}  // namespace pelton::agent
