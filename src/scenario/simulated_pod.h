// SPDX-License-Identifier: Apache-2.0
// A pod that runs `pelton run`: an init that keeps the children, and beside it a supervisor that
// may be killed at any moment. It follows its job's generations by the real launch::Follower; its
// workers are scenario/trainers.h's. It outlives its node's agent, which tells it generations and
// hears its reports.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/rng.h"
#include "launch/follower.h"
#include "scenario/trainers.h"
#include "world/clock.h"
#include "world/timers.h"

namespace pelton::scenario {

class SimulatedPod {
 public:
  struct Agent {
    std::function<void(const decide::recovery::PodReport&)> on_report;
    std::function<void(int exit_code)> on_end;  ///< it is over; destroys this, or not
  };

  /// All must outlive it. Begins at once. `is_bad_spare`: if it is not of the job's first
  /// generation, its workers fail as soon as they have begun.
  SimulatedPod(world::Timers& timers, world::Clock& clock, Trainers& trainers, TrainingJob job,
               const base::Json& pod, bool is_bad_spare, base::Rng rng);
  /// Its processes are killed.
  ~SimulatedPod();
  SimulatedPod(const SimulatedPod&) = delete;
  SimulatedPod& operator=(const SimulatedPod&) = delete;

  /// Whoever connects hears the newest report, or the end, at once. Replaces the one before.
  void connect(Agent agent);
  void disconnect() { agent_ = {}; }
  void tell(const decide::recovery::Generation& generation);
  /// Init starts another a little later.
  void kill_supervisor();

 private:
  struct Child {
    bool is_running = false;
    std::optional<world::ExitState> exit;
    int64_t ended = 0;
    std::optional<launch::LastWords> words;
    Trainers::Page page;  ///< as it was at the end
    base::Instant stopped_at;
    std::unique_ptr<world::Timer> timer;
  };
  using Children = std::map<launch::WorkerId, Child>;

  void start_supervisor();
  void act(const launch::FollowerActions& actions);
  void start_child(launch::WorkerId id);
  void forget(launch::WorkerId id);
  void signal(launch::WorkerId id, int number);
  void on_child_exit(launch::WorkerId id, world::ExitState how,
                     std::optional<launch::LastWords> words, const Trainers::Page& page);
  void poll();
  void report();
  void read_memory(decide::recovery::PodReport& report);
  void add_progress(decide::recovery::PodReport& report) const;
  void finish(int code);
  void tell_end();

  world::Timers& timers_;
  world::Clock& clock_;
  Trainers& trainers_;
  const TrainingJob job_;
  const std::string uid_, node_;
  const bool is_bad_spare_;
  int64_t first_generation_ = 0;  ///< of which it was a member
  base::Rng rng_;
  Agent agent_;
  // Init.
  Children children_;
  int64_t ends_ = 0;
  std::optional<int> code_;
  // The supervisor; its record outlives it.
  std::optional<decide::recovery::Generation> known_;
  std::unique_ptr<launch::Follower> follower_;
  std::optional<decide::recovery::PodReport> told_;
  std::vector<decide::checkpoint::Holding> held_;  ///< as it was read last
  int64_t held_before_ = -1;                       ///< PodReport::quiet_before then
  base::Instant held_at_;
  world::Timer restart_, poll_, grace_, end_;
};

}  // namespace pelton::scenario
