// SPDX-License-Identifier: Apache-2.0
// A whole cluster under virtual time: one server, one controller process, node agents, a user, and
// whoever breaks them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "control/manager.h"
#include "scenario/checkers.h"
#include "scenario/observer.h"
#include "scenario/server_process.h"
#include "scenario/sim_transport.h"
#include "scenario/simulated_kubelet.h"
#include "scenario/simulated_provider.h"
#include "scenario/spec.h"
#include "scenario/trainers.h"
#include "scenario/training_checkers.h"
#include "scenario/user.h"
#include "sim/sim_world.h"

namespace pelton::scenario {

/// What one seed came to.
struct Outcome {
  uint64_t seed = 0;
  uint64_t trace_hash = 0;
  base::Duration virtual_time;
  uint64_t events = 0;
  int64_t completed = 0, failed = 0;  ///< JobSets
  int64_t node_deaths = 0, partitions = 0, server_crashes = 0, controller_crashes = 0;
  int64_t agent_crashes = 0, supervisor_crashes = 0;
  int64_t generations = 0, steps = 0, restored = 0;  ///< of training jobs; restored from memory
  int64_t relists = 0;  ///< of the observer: its place in the history was gone
  std::vector<std::string> violations;
  std::vector<std::string> log_tail;  ///< of all processes, where something is wrong
};

class Cluster {
 public:
  Cluster(const Spec& spec, uint64_t seed);
  ~Cluster();
  /// Runs until every JobSet has ended and all is at rest, or the scenario's time is over. Call
  /// once.
  Outcome run();

 private:
  struct Node;
  struct Controllers;

  void start_server();
  void watch_server();
  void start_controllers();
  void start_node(size_t index);
  bool is_on_demand(size_t index) const { return index >= static_cast<size_t>(spec_.nodes); }
  void schedule(const std::optional<Recurring>& fault, const std::string& name,
                std::function<void()> strike);
  void crash_server();
  void on_answered(bool is_gang);
  void crash_controllers();
  void crash_agent();
  void crash_supervisor();
  bool is_reachable(const std::string& node);
  void schedule_worker_faults();
  void kill_node();
  /// Whether each node that has been dead for long is told to be; else the checkers are told.
  bool check_dead_nodes();
  void cut_node();
  void delete_node();
  void stall_observer();
  void break_connections();
  void schedule_faults();
  void schedule_user();
  /// After all has ended: nothing breaks any more, and what is left to do gets done.
  void settle();
  /// Why not everything is at rest: "" where it is.
  std::string find_unrest();
  void finish_outcome();
  PodBehaviour behaviour_of(const base::Json& pod) const;
  std::unique_ptr<SimulatedPod> make_pod(const base::Json& pod);

  const Spec& spec_;
  sim::SimWorld sim_;
  sim::SimMachine& server_machine_;
  sim::SimMachine& controllers_machine_;
  Checkers checkers_;
  TrainingCheckers training_checkers_;
  Trainers trainers_;
  bool has_training_ = false;
  Outcome outcome_;
  base::Rng rng_;
  bool is_settling_ = false;      ///< no fault begins any more
  base::Instant last_disturbed_;  ///< server or controllers began then
  /// The server's machine loses power once so many answers to writes (or to gangs' bindings) more
  /// have left; 0: not so.
  uint64_t answers_until_crash_ = 0, gangs_until_crash_ = 0;
  std::unique_ptr<ServerProcess> server_;
  SimulatedProvider provider_;
  std::unique_ptr<Controllers> controllers_;
  std::vector<std::unique_ptr<Node>> nodes_;  ///< the last spec_.on_demand: when asked for
  std::unique_ptr<User> user_;
  std::unique_ptr<Observer> observer_;
};

}  // namespace pelton::scenario
