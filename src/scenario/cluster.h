// SPDX-License-Identifier: Apache-2.0
// A whole cluster under virtual time: one server, one controller process, node agents, a user, and
// whoever breaks them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "control/manager.h"
#include "scenario/checkers.h"
#include "scenario/server_process.h"
#include "scenario/sim_transport.h"
#include "scenario/simulated_kubelet.h"
#include "scenario/spec.h"
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
  std::vector<std::string> violations;
  std::vector<std::string> log_tail;  ///< of all processes, where something is wrong
};

class Cluster {
 public:
  Cluster(const Spec& spec, uint64_t seed);
  ~Cluster();
  /// Runs until every JobSet has ended or the scenario's time is over. Call once.
  Outcome run();

 private:
  struct Node;
  struct Controllers;
  struct User;

  void start_server();
  void watch_server();
  void start_controllers();
  void start_node(size_t index);
  void schedule(const std::optional<Recurring>& fault, const std::string& name,
                std::function<void()> strike);
  void crash_server();
  void crash_controllers();
  void kill_node();
  void cut_node();
  void break_connections();
  void submit(size_t index);
  bool has_ended() const;
  PodBehaviour behaviour_of(const base::Json& pod) const;

  const Spec& spec_;
  sim::SimWorld sim_;
  sim::SimMachine& server_machine_;
  sim::SimMachine& controllers_machine_;
  Checkers checkers_;
  Outcome outcome_;
  base::Rng rng_;
  std::vector<base::Json> jobsets_;  ///< what the user submits, with times of arrival
  std::vector<base::Duration> arrivals_;
  size_t submitted_ = 0;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<Controllers> controllers_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::unique_ptr<User> user_;
};

}  // namespace pelton::scenario
