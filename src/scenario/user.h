// SPDX-License-Identifier: Apache-2.0
// Whoever uses the cluster: submits the scenario's JobSets, and then does what users do meanwhile.
//
// Each JobSet gets a ConfigMap that it owns and that only the garbage collector has reason to
// remove.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "client/client.h"
#include "scenario/checkers.h"
#include "scenario/sim_transport.h"
#include "scenario/spec.h"
#include "scenario/workload.h"
#include "world/world.h"

namespace pelton::scenario {

class User {
 public:
  /// All must outlive it.
  User(const Spec& spec, const world::World& world, size_t caller, Checkers& checkers,
       base::Rng rng, std::vector<WorkloadItem> items);
  /// Submits each JobSet when its time comes.
  void start();
  /// Every JobSet that is left has ended.
  bool has_ended() const;

  // What the user does to a present object, picked at random; nothing where there is none.
  void delete_node(const std::string& name);
  void delete_pod();
  void delete_jobset();
  void edit();
  void suspend();
  void scale();

 private:
  void submit_policy(size_t index);
  void submit(size_t index);
  void add_notes(const base::Json& jobset);
  const base::Json* pick(const char* plural);
  void set_suspended(const client::ObjectKey& key, bool is_suspended);
  void retry(std::function<void()> act);

  const Spec& spec_;
  world::Timers& timers_;
  Checkers& checkers_;
  base::Rng rng_;
  std::vector<WorkloadItem> items_;
  SimTransport transport_;
  client::Client client_;
  size_t submitted_ = 0;
  int64_t edits_ = 0;
};

}  // namespace pelton::scenario
