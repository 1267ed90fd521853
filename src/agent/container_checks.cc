// SPDX-License-Identifier: Apache-2.0
#include "agent/container_checks.h"

#include "base/strings.h"

namespace pelton::agent {
namespace {

using base::Json;

/// A hook has no time limit of its own upstream.
constexpr base::Duration kHookLimit = base::Duration::hours(24);

}  // namespace

ContainerChecks::ContainerChecks(world::World world, HandlerTarget target, base::Instant started_at,
                                 Before before, Event event, std::function<void()> changed)
    : world_(world),
      target_(std::move(target)),
      started_at_(started_at),
      event_(std::move(event)),
      changed_(std::move(changed)),
      timer_(world.timers) {
  if (before.is_started) states_.of(ProbeKind::Startup).result = ProbeOutcome::Success;
  if (before.is_ready) states_.of(ProbeKind::Readiness).result = ProbeOutcome::Success;
  is_hook_done_ = before.is_started || target_.container.at("lifecycle.postStart").is_null();
  is_hook_done_ ? look() : run_hook();
}

void ContainerChecks::begin_ending() {
  if (std::exchange(is_ending_, true)) return;
  look();
}

std::string ContainerChecks::failed() const {
  if (has_hook_failed_) return "postStart hook";
  if (!decision_.failed) return "";
  return base::to_lower(probe_name(*decision_.failed)) + " probe";
}

void ContainerChecks::run_hook() {
  hook_ = std::make_unique<HandlerRun>(world_, target_, target_.container.at("lifecycle.postStart"),
                                       kHookLimit, [this](const HandlerResult& result) {
                                         hook_.reset();
                                         has_hook_failed_ = result.outcome != ProbeOutcome::Success;
                                         is_hook_done_ = !has_hook_failed_;
                                         if (has_hook_failed_)
                                           event_("FailedPostStartHook", "PostStartHook failed");
                                         look();
                                         changed_();
                                       });
}

void ContainerChecks::look() {
  if (!is_hook_done_) return;
  const base::Instant now = world_.clock.now();
  const bool was_started = decision_.is_started, was_ready = decision_.is_ready;
  const auto failed_before = decision_.failed;
  decision_ = decide_probes(target_.container, states_, started_at_, is_ending_, now);
  timer_.cancel();
  if (decision_.wake_at) timer_.start(*decision_.wake_at - now, [this] { look(); });
  for (const ProbeKind kind : decision_.due) run(kind);
  if (was_started != decision_.is_started || was_ready != decision_.is_ready ||
      failed_before != decision_.failed) {
    changed_();
  }
}

void ContainerChecks::run(ProbeKind kind) {
  const Json& probe = target_.container[probe_field(kind)];
  const ProbeTiming timing = probe_timing(probe);
  ProbeState& state = states_.of(kind);
  state.is_under_way = true;
  state.began_at = world_.clock.now();
  runs_[kind] = std::make_unique<HandlerRun>(
      world_, target_, probe, timing.timeout, [this, kind, timing](const HandlerResult& result) {
        runs_.erase(kind);
        ProbeState& seen = states_.of(kind);
        seen.is_under_way = false;
        note_probe_outcome(seen, timing, result.outcome);
        if (result.outcome == ProbeOutcome::Failure) {
          event_("Unhealthy", std::string(probe_name(kind)) + " probe failed: " + result.text);
        } else if (result.outcome == ProbeOutcome::Unknown) {
          event_("Unhealthy", std::string(probe_name(kind)) +
                                  " probe errored and resulted in unknown state: " + result.text);
        }
        look();
      });
}

}  // namespace pelton::agent
