// SPDX-License-Identifier: Apache-2.0
// Watches this pod's ranks: hands the records of their pages to decide/health/rank_watch.h, and of
// who is silent what the system says about its process.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "decide/health/rank_watch.h"
#include "launch/follower.h"
#include "launch/heartbeat_page.h"
#include "world/world.h"

namespace pelton::launch {

using decide::health::Finding;

class Sensor {
 public:
  /// `world` must outlive it.
  explicit Sensor(world::World& world) : world_(world) {}

  /// A worker is being started, or was there before us. Those of an older generation than the
  /// newest are of no interest.
  void add(WorkerId worker);
  void remove(WorkerId worker);
  void on_beat(WorkerId worker, const Beat& beat);

  struct Worker {
    int pid = 0;  ///< 0: none
    Tick tick;
  };
  using WorkerOf = std::function<Worker(int rank)>;
  /// What is to be said now. `sees_all_ranks`: no rank of the job is elsewhere.
  std::vector<Finding> look(bool sees_all_ranks, const WorkerOf& worker_of);
  /// When that was, for people.
  base::Instant wall_time(base::Instant since) const;
  int64_t generation() const { return generation_; }

 private:
  base::Instant now() const;
  void take_evidence(const WorkerOf& worker_of);
  void look_at_links(bool sees_all_ranks);

  world::World& world_;
  decide::health::RankWatch watch_;
  decide::health::LinkWatch links_;
  int64_t generation_ = 0;
  /// While this generation, which is not our first, has not yet done a step: what to begin again
  /// costs.
  bool measures_restart_ = false;
  base::Instant restarted_at_;
  int64_t first_step_ = -1;
  size_t next_sample_ = 0;  ///< of those that are silent
};

/// What is to be done about it, for people.
std::string next_step_of(const Finding& finding, bool is_last);
std::string next_step_after_failure(bool is_last);

}  // namespace pelton::launch
