// SPDX-License-Identifier: Apache-2.0
// Looks after one running container: its postStart hook, then its probes.
//
// One per attempt, from when it runs until it has ended. What it finds is read by started(),
// ready() and failed(); `changed` is called later after each change of these.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "agent/handler.h"
#include "agent/probe_decision.h"

namespace pelton::agent {

class ContainerChecks {
 public:
  /// What an earlier agent had found about the same attempt.
  struct Before {
    bool is_started = false, is_ready = false;
  };
  using Event = std::function<void(const std::string& reason, const std::string& message)>;

  /// `event` is told of warnings: Unhealthy, FailedPostStartHook.
  ContainerChecks(world::World world, HandlerTarget target, base::Instant started_at, Before before,
                  Event event, std::function<void()> changed);

  /// The pod ends: from now on only readiness is looked at.
  void begin_ending();

  bool is_started() const { return is_hook_done_ && decision_.is_started; }
  bool is_ready() const { return is_hook_done_ && decision_.is_ready; }
  /// Why the container has to end: "startup probe", "liveness probe", "postStart hook"; or "".
  std::string failed() const;

 private:
  void run_hook();
  void look();
  void run(ProbeKind kind);

  world::World world_;
  HandlerTarget target_;
  base::Instant started_at_;
  Event event_;
  std::function<void()> changed_;
  ProbeStates states_;
  ProbesDecision decision_;
  bool is_hook_done_ = false, has_hook_failed_ = false, is_ending_ = false;
  std::unique_ptr<HandlerRun> hook_;
  std::map<ProbeKind, std::unique_ptr<HandlerRun>> runs_;
  world::Timer timer_;
};

}  // namespace pelton::agent
