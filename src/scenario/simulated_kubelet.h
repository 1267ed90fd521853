// SPDX-License-Identifier: Apache-2.0
// A node agent whose pods are timers: registers its Node, renews its Lease, runs the pods that are
// bound to it for as long as the workload says, and reports them through the API as a real one
// does.
//
// Destroying it is the death of the node: its pods stop. A successor on the same node finds pods
// that the API believes to be running and reports them as failed, as after a reboot. Pods of
// training jobs are kept elsewhere (SimulatedPods): where they are still there, it goes on with
// them, as after a crash of the agent alone.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/time.h"
#include "client/cache.h"
#include "client/client.h"
#include "client/informer.h"
#include "client/transport.h"
#include "scenario/simulated_pod.h"
#include "world/world.h"

namespace pelton::scenario {

/// What a pod does once it runs.
struct PodBehaviour {
  base::Duration run;
  int exit_code = 0;
};

/// The pods of training jobs on a node, by uid: they outlive its agent.
using SimulatedPods = std::map<std::string, std::unique_ptr<SimulatedPod>>;

struct KubeletOptions {
  std::string node_name;
  std::map<std::string, int64_t> accelerators;
  std::function<PodBehaviour(const base::Json& pod)> behaviour;
  /// Makes a training job's; null for any other pod. Absent: there are none.
  std::function<std::unique_ptr<SimulatedPod>(const base::Json& pod)> make_pod;
  SimulatedPods* pods = nullptr;  ///< of this node, where there is make_pod
};

/// The Node that such a kubelet registers.
base::Json simulated_node(const std::string& name,
                          const std::map<std::string, int64_t>& accelerators);

class SimulatedKubelet {
 public:
  /// Both must outlive it. Begins at once.
  SimulatedKubelet(const world::World& world, client::Transport& transport, KubeletOptions options);
  ~SimulatedKubelet();

  /// Pods whose processes are alive here now: uid -> name.
  std::map<std::string, std::string> running() const;
  /// What it was told of the pods that are bound to it.
  const client::Cache& cache() const { return cache_; }

 private:
  struct Run;

  void heartbeat();
  void report_node(const base::Result<base::Json>& node);
  void renew_lease();
  void on_pod(const base::Json& pod);
  void on_policy(const base::Json& policy);
  bool adopt(const base::Json& pod);
  void end_unknown_pods();
  void connect(const std::string& uid);
  void tell(const std::string& uid);
  void report_workers(const std::string& uid, const decide::recovery::PodReport& report);
  void send_workers(const std::string& uid);
  void start(const base::Json& pod);
  void finish(const std::string& uid, int exit_code);
  void stop(const base::Json& pod);
  void report(Run& run, base::Json status);
  void send_report(const std::string& uid);
  void look_again(const std::string& uid);
  void remove(const std::string& uid);

  const world::World& world_;
  KubeletOptions options_;
  client::Client client_;
  client::Cache cache_;
  client::Informer informer_, policies_;
  world::Timer heartbeat_timer_;
  std::map<std::string, std::unique_ptr<Run>> runs_;  ///< by pod uid
};

}  // namespace pelton::scenario
