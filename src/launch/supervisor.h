// SPDX-License-Identifier: Apache-2.0
// Beside init, and started again by it whenever it ends: follows the generations of its job
// (launch/follower.h), reads the heartbeat pages, and reports. What it knows is in init, in the
// pages and in the record of the newest generation, so that its successor goes on where it was.
#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "launch/follower.h"
#include "launch/generation_source.h"
#include "launch/init_protocol.h"
#include "launch/parked_parent.h"
#include "launch/plan.h"
#include "launch/sensor.h"
#include "launch/worker_pages.h"
#include "world/world.h"

namespace pelton::launch {

struct SupervisorSettings {
  std::string init_socket;
  int64_t number = 1;     ///< which of init's supervisors this is
  std::string directory;  ///< init's own, in memory
  GroupPlan plan;
  Environment environment;  ///< that init and we were given
  std::string working_directory;
  std::string agent_socket;  ///< empty: there is no agent
  std::string pod_uid;       ///< ours, where there is one
  std::string python_path;   ///< where the package pelton is; empty: the one that we carry
};

class Supervisor {
 public:
  /// `world` must outlive it.
  Supervisor(world::World& world, SupervisorSettings settings);
  ~Supervisor();
  /// `on_done` comes once, when init has gone; the directory has been removed then.
  void start(std::function<void()> on_done);

 private:
  // Init.
  void on_init(std::unique_ptr<world::Connection> connection);
  void on_event(const base::Json& event);
  void on_list(const InitState& state);
  void restore(const InitState& state);
  void remember(const std::string& key, int pid);
  void on_started(const std::string& key, int pid);
  void on_failed(const std::string& key, const base::Status& why);
  void on_exited(const base::Json& event);
  void on_init_gone();
  void send(base::Json request);

  // Workers.
  void act(const FollowerActions& actions);
  void start_worker(WorkerId worker, bool may_fork);
  base::Status order_worker(WorkerId worker, bool may_fork);
  Place place() const;
  int master_port() const;
  Environment whole_environment(const Environment& over) const;

  // The parked parent.
  void start_park_if_time();
  void on_park_change();
  void ask_fork(const SpawnOrder& order);
  void start_anew(const InitState& state);
  bool kill_forked_orphans(const InitState& state);
  bool is_swept(const InitState& state);

  void ask_to_save();
  void save_before_end();
  void look_for_saves();
  base::Duration grace_left() const;

  void run_check(int64_t generation);
  static bool is_check(const std::string& key);
  void on_check_exit(const std::string& key, const world::ExitState& how);
  void on_checked(const std::string& key, const base::Status& how);
  std::string check_output() const;

  void on_beat(WorkerId worker, const Beat& beat);
  void watch_endings();

  void poll();
  void watch_ranks();
  void on_finding(const Finding& finding);
  int pid_of(WorkerId worker) const;
  void add_findings(decide::recovery::PodReport& report) const;
  void say_failures(const decide::recovery::PodReport& report) const;
  void report();
  void read_memory(decide::recovery::PodReport& report);

  world::World& world_;
  SupervisorSettings settings_;
  std::string job_uid_;
  Follower follower_;
  Sensor sensor_;
  std::map<int, Finding> findings_;  ///< of the last look, by rank; those that do not act
  /// By generation, rank and cause: when. Of older generations nothing is kept.
  std::map<std::tuple<int64_t, int, std::string>, base::Duration> said_;
  bool has_said_notice_ = false;           ///< of this generation's save_by
  std::optional<base::Duration> ends_at_;  ///< we are to end by then, and the workers save first
  std::string check_key_;                  ///< of the health check that runs
  std::map<std::string, world::ExitState> checks_;  ///< those that had ended before us, by key
  std::map<WorkerId, base::Duration> endings_;      ///< who has raised an exception, and when
  int64_t saved_before_ = -1;                       ///< what they had saved by then
  bool is_last_ = false;                            ///< no generation would follow
  WorkerPages pages_;
  ParkedParent park_;
  std::unique_ptr<GenerationSource> source_;
  std::unique_ptr<world::Connection> init_;
  JsonLines lines_;
  bool is_restored_ = false;
  std::map<std::string, std::pair<int, uint64_t>> pids_;  ///< by key, with start_ticks
  std::set<std::string> forking_;       ///< asked of the parked parent, not answered yet
  std::set<WorkerId> not_forked_;       ///< what the parked parent could not: to be started anew
  base::Duration first_generation_at_;  ///< when we began to follow the first one
  world::Timer grace_, save_, check_, poll_, forks_, sweep_;
  decide::recovery::PodReport told_;  ///< the last report, and its shape: see report()
  decide::recovery::PodReport shape_;
  base::Duration told_at_;
  bool has_told_ = false;
  std::vector<decide::checkpoint::Holding> held_;  ///< as it was read last
  int64_t held_before_ = -1;                       ///< PodReport::quiet_before then
  int64_t held_at_ = 0;                            ///< PodReport::held_at
  std::function<void()> on_done_;
};

}  // namespace pelton::launch
