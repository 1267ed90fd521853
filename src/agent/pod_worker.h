// SPDX-License-Identifier: Apache-2.0
// Takes care of one pod on this node: observes, asks decide_pod(), acts, and tells the API.
//
// Everything that must outlive the agent is on disk (agent/pod_record.h) before it is acted upon.
// One worker per uid, from when the node first sees the pod until its directory is removed.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/agent_context.h"
#include "agent/container_checks.h"
#include "agent/container_run.h"
#include "agent/pod_record.h"
#include "agent/pod_sandbox.h"
#include "agent/status_writer.h"
#include "world/timers.h"

namespace pelton::agent {

class PodWorker {
 public:
  /// A pod that is new here: admits it (devices, address) and records it. Call update() next.
  PodWorker(AgentContext& context, const base::Json& pod, std::function<void()> removed);
  /// A pod of which an earlier agent left a record. Its containers run on; nothing is decided
  /// before update() or vanish().
  PodWorker(AgentContext& context, PodRecord record, std::function<void()> removed);
  ~PodWorker();
  PodWorker(const PodWorker&) = delete;
  PodWorker& operator=(const PodWorker&) = delete;

  /// The pod as the API has it now; same uid.
  void update(const base::Json& pod);
  /// The API has the pod no more: everything of it is ended and removed, then `removed` is called
  /// once, from the loop, within which the worker may be destroyed.
  void vanish();

  const base::Json& pod() const { return record_.pod; }
  /// Whether vanish() has been called: it is being ended and removed.
  bool is_vanishing() const { return observed_.is_gone; }
  /// Whether update() or vanish() has been called.
  bool is_known_to_api() const { return is_known_to_api_; }
  /// Why the container is not running, e.g. "ImagePullBackOff"; "" where it is not waiting.
  std::string waiting_reason(const std::string& container) const;
  const PodPaths& paths() const { return paths_; }
  /// The file that holds the pod's network namespace.
  std::string network_namespace() const;
  /// The newest attempt (or the one before it) of a container; nullopt where there is none.
  std::optional<ContainerPaths> attempt(const std::string& container, bool is_previous) const;
  /// Whether output may still come from the newest attempt of the container.
  bool is_live(const std::string& container) const;
  std::vector<std::string> running_containers() const;
  base::Instant start_time() const { return record_.start_time; }
  /// The status as this node sees it.
  base::Json status() const;

 private:
  struct Container {
    std::unique_ptr<ContainerRun> run;        ///< of the newest attempt
    std::unique_ptr<ContainerChecks> checks;  ///< while it runs
    std::unique_ptr<HandlerRun> stop_hook;    ///< its preStop
    ContainerObserved observed;
    bool is_ordering = false;  ///< the order is being made, or waits for its turn
    Slots::Slot slot;          ///< held while it is started
  };
  void admit();
  void adopt_containers();
  void sync_soon();
  void sync();
  void observe();
  void observe_container(const std::string& name, Container& container);
  void act(const PodAction& action);
  void prepare_sandbox();
  void tear_down_sandbox();
  /// Calls `go` when it is this worker's turn to start or tear down something; not if it is gone.
  void in_turn(std::function<void(Slots::Slot)> go);
  void start_container(const std::string& name, int attempt);
  void launch(const std::string& name, int attempt, base::Result<ShimOrder> order);
  void fail_start(const std::string& name, const base::Status& why);
  void begin_checks(const std::string& name, Container& container);
  void begin_stop(const std::string& name);
  void stop_container(const std::string& name, bool is_kill);
  const base::Json& spec_of(const std::string& name) const;
  HandlerTarget handler_target(const std::string& name) const;
  void follow_volumes();
  void remove_cgroups_of(const std::string& name, int before_attempt);
  void remove_all_cgroups();
  void remove_state();
  void delete_from_api();
  void event(bool is_warning, const std::string& reason, const std::string& message,
             const std::string& container = "");
  void give_back();

  AgentContext& context_;
  PodRecord record_;
  PodPaths paths_;
  std::function<void()> removed_;
  PodSandbox sandbox_;
  PodObserved observed_;
  PodDecision decision_;
  std::map<std::string, Container> containers_;
  world::Timer wake_;
  StatusWriter status_writer_;
  bool is_known_to_api_ = false;
  bool is_sync_posted_ = false;
  bool is_deleting_ = false;
  bool is_removing_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::agent
