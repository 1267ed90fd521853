// SPDX-License-Identifier: Apache-2.0
// What the worker processes of simulated training jobs do: they meet, step together, save, and
// break.
//
// All ranks of a generation take a step together: it takes as long as the slowest, and nobody steps
// while one is missing or stopped. Every so many steps all of them save durably. A generation goes
// on from the version in memory that its record names, and from the newest durable save where there
// is none or that is of a later step (ADR 15). A generation that opens the saves shuts out the
// older ones (ADR 14). A rank whose peer is gone raises an exception, or waits. Whether a worker
// runs is its pod's matter (scenario/simulated_pod.h); time is the simulation's.
#pragma once
#include <compare>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "launch/follower.h"
#include "scenario/simulated_memory.h"
#include "scenario/spec.h"
#include "scenario/training_checkers.h"
#include "world/clock.h"
#include "world/processes.h"
#include "world/timers.h"

namespace pelton::scenario {

/// What all workers of a job know.
struct TrainingJob {
  std::string uid;
  TrainingSpec spec;
  int64_t steps = 1;  ///< in all
};

class Trainers {
 public:
  /// As a heartbeat page tells it.
  struct Page {
    int64_t first_step = -1, last_step = -1;
    base::Instant first_step_at, last_step_at;
  };
  using OnExit =
      std::function<void(world::ExitState, std::optional<launch::LastWords>, const Page&)>;
  struct Place {
    std::string pod_uid, node;
  };

  /// All must outlive it.
  Trainers(world::Timers& timers, world::Clock& clock, TrainingCheckers& checkers, base::Rng rng);
  ~Trainers();

  /// A worker begins; `on_exit` comes where it ends by itself.
  void start(const TrainingJob& job, const decide::recovery::Generation& generation, int rank,
             Place place, OnExit on_exit);
  /// It was killed. Nothing where it is not there.
  void end(const std::string& job_uid, launch::WorkerId id, const std::string& pod_uid);
  Page page(const std::string& job_uid, launch::WorkerId id, const std::string& pod_uid) const;
  bool is_stopped(const std::string& job_uid, launch::WorkerId id,
                  const std::string& pod_uid) const;

  /// Its device fails now; an exception says so.
  void fail_device(const std::string& job_uid, launch::WorkerId id, const std::string& pod_uid);

  // Faults, of a worker picked at random; nothing where there is none.
  void crash();                     ///< SIGKILL from outside
  void raise();                     ///< a Python exception
  void stop();                      ///< SIGSTOP, for good
  void stall(base::Duration span);  ///< its steps take ten times as long meanwhile

  SimulatedMemory& memory() { return memory_; }

 private:
  using Version = SimulatedMemory::Version;
  struct Worker {
    Place place;
    OnExit on_exit;
    bool is_stopped = false;
    base::Instant slow_until;
    Page page;
    std::unique_ptr<world::Timer> timer;
  };
  struct Group {
    int world_size = 0;
    std::optional<Version> restore;   ///< as its record says
    std::optional<Version> restored;  ///< from memory or the durable tier, once it is open
    std::vector<std::string> nodes;   ///< by rank
    bool is_open = false;
    bool has_lost = false;
    int64_t next = 0;
    std::map<int, Worker> workers;  ///< by rank
    std::unique_ptr<world::Timer> step;
    base::Duration step_takes;
  };
  struct Job {
    TrainingJob what;
    std::optional<Version> saved;     ///< the newest that is durable
    int64_t opened = 0;               ///< the newest generation that has read it
    std::map<int64_t, Group> groups;  ///< by generation
  };
  struct Pick {
    std::string job_uid;
    launch::WorkerId id;
  };

  Worker* find(const std::string& job_uid, launch::WorkerId id, const std::string& pod_uid);
  const Worker* find(const std::string& job_uid, launch::WorkerId id,
                     const std::string& pod_uid) const;
  std::optional<Pick> pick();
  void go_on(const std::string& job_uid, int64_t generation);
  void open(const std::string& job_uid, int64_t generation);
  bool is_done(const Job& job) const;
  void save_in_memory(const std::string& job_uid, int64_t generation, int64_t step);
  void finish_step(const std::string& job_uid, int64_t generation);
  void exit_later(const Pick& pick, base::Duration after, world::ExitState how,
                  std::optional<launch::LastWords> words);
  void remove(const std::string& job_uid, launch::WorkerId id);
  void on_lost(const std::string& job_uid, int64_t generation);

  world::Timers& timers_;
  world::Clock& clock_;
  TrainingCheckers& checkers_;
  base::Rng rng_;
  SimulatedMemory memory_;
  std::map<std::string, Job> jobs_;
};

}  // namespace pelton::scenario
