// SPDX-License-Identifier: Apache-2.0
#include "agent/pod_lifecycle.h"

#include <algorithm>

#include "api/object.h"

namespace pelton::agent {
namespace {

using base::Json;
using Kind = PodAction::Kind;
using State = ContainerObserved::State;

/// Of a container whose grace period was used up by others.
constexpr base::Duration kLeastGrace = base::Duration::seconds(2);

/// One pass over one pod.
class Decider {
 public:
  Decider(const Json& pod, const PodObserved& observed, const LifecycleOptions& options,
          base::Instant now)
      : pod_(pod), observed_(observed), options_(options), now_(now) {
    restart_policy_ = pod.at("spec.restartPolicy").as_string();
    if (restart_policy_.empty()) restart_policy_ = "Always";
    is_terminating_ = api::is_being_deleted(pod) || observed.is_gone;
  }

  PodDecision run() {
    if (observed_.rejection) {
      decision_.phase = "Failed";
      finish();
      return std::move(decision_);
    }
    if (is_terminating_) {
      stop_containers();
      decision_.phase = phase();
      if (!has_live()) finish();
      return std::move(decision_);
    }
    check_deadline();
    const std::string outcome = phase();
    const bool is_over = is_end(outcome);
    if (is_over || is_past_deadline_) {
      note_never_started();
      finish();
    } else {
      end_failed_checks();
      if (advance_init()) advance_main();
    }
    // An end is told when nothing runs any more: whoever reads it may take the pod's place.
    decision_.phase = is_over && has_live() ? (is_initialized() ? "Running" : "Pending") : outcome;
    return std::move(decision_);
  }

 private:
  const ContainerObserved& seen(const Json& container) const {
    static const ContainerObserved nothing;
    const auto it = observed_.containers.find(container["name"].as_string());
    return it == observed_.containers.end() ? nothing : it->second;
  }
  const Json::Array& init_containers() const { return pod_.at("spec.initContainers").items(); }
  const Json::Array& containers() const { return pod_.at("spec.containers").items(); }
  void act(Kind kind, const std::string& container = "", int attempt = 0) {
    decision_.actions.push_back({kind, container, attempt});
  }
  void wake_at(base::Instant at) {
    if (!decision_.wake_at || at < *decision_.wake_at) decision_.wake_at = at;
  }
  bool has_live() const {
    return std::any_of(observed_.containers.begin(), observed_.containers.end(),
                       [](const auto& entry) { return entry.second.is_live(); });
  }
  static bool is_end(const std::string& phase) { return phase == "Succeeded" || phase == "Failed"; }
  bool is_live(const Json& container) const { return seen(container).is_live(); }
  /// Once a main container was started, init containers are history, apart from sidecars.
  bool is_initialized() const {
    return std::any_of(containers().begin(), containers().end(),
                       [this](const Json& container) { return seen(container).attempt >= 0; });
  }
  bool is_restarted(const ContainerObserved& container, bool is_init) const {
    if (!container.exit) return true;
    if (restart_policy_ == "Never") return false;
    if (restart_policy_ == "OnFailure" || is_init) return container.exit->code != 0;
    return true;
  }

  /// Tells one container to end, and ends it by force where its grace period is over.
  void stop(const Json& container, base::Duration grace) {
    const ContainerObserved& seen_one = seen(container);
    if (!seen_one.is_live()) return;
    const std::string& name = container["name"].as_string();
    if (observed_.is_gone || grace <= base::Duration()) {
      if (!seen_one.is_kill_sent) act(Kind::Kill, name);
      return;
    }
    if (!seen_one.terminated_at) {
      act(Kind::Terminate, name);
      return wake_at(now_ + grace);
    }
    base::Instant end = *seen_one.terminated_at + grace;
    if (!container.at("lifecycle.preStop").is_null()) {
      // The hook is cut at the end of the grace period; then SIGTERM has a little time of its own.
      if (!seen_one.signalled_at) return;
      end = std::max(end, *seen_one.signalled_at + kLeastGrace);
    }
    if (now_ < end) return wake_at(end);
    if (!seen_one.is_kill_sent) act(Kind::Kill, name);
  }

  /// All that live: the main containers first, then the sidecars, the last one first. The grace
  /// period is the pod's; a sidecar whose turn comes after it gets a little time all the same.
  void stop_containers() {
    decision_.is_stopping = true;
    const base::Duration grace = grace_period(pod_);
    bool is_later_live = false;
    for (const auto* list : {&init_containers(), &containers()}) {
      for (const Json& container : *list) {
        if (list == &init_containers() && is_sidecar(container)) continue;
        stop(container, grace);
        is_later_live |= is_live(container);
      }
    }
    const base::Instant end = observed_.stopping_since.value_or(now_) + grace;
    const auto& sidecars = init_containers();
    for (auto it = sidecars.rbegin(); it != sidecars.rend(); ++it) {
      if (!is_sidecar(*it) || !is_live(*it)) continue;
      if (is_later_live && now_ < end && !observed_.is_gone && grace > base::Duration()) {
        wake_at(end);
      } else {
        const base::Instant from = seen(*it).terminated_at.value_or(now_);
        stop(*it, grace > base::Duration() ? std::max(end - from, kLeastGrace) : grace);
      }
      is_later_live = true;
    }
  }

  /// What its liveness or startup probe, or its postStart hook, has condemned.
  void end_failed_checks() {
    for (const auto* list : {&init_containers(), &containers()}) {
      for (const Json& container : *list) {
        const std::string& check = seen(container).failed_check;
        if (check.empty()) continue;
        const Json& probe = container[check == "startup probe" ? "startupProbe" : "livenessProbe"];
        const Json& own = probe["terminationGracePeriodSeconds"];
        stop(container, own.is_int() && check != "postStart hook"
                            ? base::Duration::seconds(own.as_int())
                            : grace_period(pod_));
      }
    }
  }

  void check_deadline() {
    const Json& seconds = pod_.at("spec.activeDeadlineSeconds");
    if (!seconds.is_int() || !observed_.start_time) return;
    const base::Instant deadline =
        *observed_.start_time + base::Duration::seconds(seconds.as_int());
    const bool is_over = is_end(phase());
    if (now_ < deadline) {
      if (!is_over) wake_at(deadline);
      return;
    }
    // What ended before the deadline has not missed it, however late it is looked at.
    const bool is_late = std::any_of(
        observed_.containers.begin(), observed_.containers.end(), [&](const auto& entry) {
          return entry.second.exit && entry.second.exit->finished_at >= deadline;
        });
    if (is_over && !is_late) return;
    is_past_deadline_ = true;
    decision_.reason = "DeadlineExceeded";
    decision_.message = "Pod was active on the node longer than the specified deadline";
  }

  /// After the last container: give back what the node lent, then tell the API or forget.
  void finish() {
    using Sandbox = PodObserved::Sandbox;
    if (has_live()) return stop_containers();
    if (observed_.sandbox == Sandbox::Ready || observed_.sandbox == Sandbox::Failed) {
      return act(Kind::TearDownSandbox);
    }
    if (observed_.sandbox == Sandbox::Preparing || observed_.sandbox == Sandbox::TearingDown)
      return;
    if (observed_.is_gone) return act(Kind::RemoveState);
    if (api::is_being_deleted(pod_) && !observed_.is_delete_sent) act(Kind::DeleteFromApi);
  }

  void note_never_started() {
    if (init_containers().empty()) return;
    for (const Json& container : containers()) {
      if (seen(container).attempt < 0) {
        decision_.waiting[container["name"].as_string()] = {"PodInitializing", ""};
      }
    }
  }

  /// Starts what is due of the init containers, one after another; whether the main ones may run.
  bool advance_init() {
    const bool was_initialized = is_initialized();
    for (const Json& container : init_containers()) {
      const ContainerObserved& seen_one = seen(container);
      const std::string& name = container["name"].as_string();
      if (is_sidecar(container)) {
        if (!seen_one.is_live()) start(name, seen_one, "PodInitializing");
        if (was_initialized) continue;
        if (seen_one.state == State::Running && seen_one.is_started) continue;
      } else {
        if (was_initialized) continue;
        if (seen_one.state == State::Exited && seen_one.exit->code == 0) continue;
        if (!seen_one.is_live() && is_restarted(seen_one, true)) {
          start(name, seen_one, "PodInitializing");
        }
      }
      note_never_started();
      return false;
    }
    return true;
  }

  void advance_main() {
    for (const Json& container : containers()) {
      const ContainerObserved& seen_one = seen(container);
      if (seen_one.is_live() || !is_restarted(seen_one, false)) continue;
      start(container["name"].as_string(), seen_one, "ContainerCreating");
    }
  }

  void start(const std::string& name, const ContainerObserved& container, const char* reason) {
    Waiting& waiting = decision_.waiting[name] = {reason, ""};
    if (!is_sandbox_ready()) return;
    if (container.failure && is_in_backoff(*container.failure, waiting)) return;
    if (container.exit) {
      const base::Duration delay = restart_delay(container.quick_exits, options_);
      const base::Instant due = container.exit->finished_at + delay;
      if (now_ < due) {
        waiting = {"CrashLoopBackOff", "back-off " + base::format_age(delay) +
                                           " restarting failed container=" + name +
                                           " pod=" + api::name_of(pod_) + "_" +
                                           api::namespace_of(pod_) + "(" + api::uid_of(pod_) + ")"};
        return wake_at(due);
      }
    }
    act(Kind::StartContainer, name, container.attempt + 1);
  }

  bool is_in_backoff(const StartFailure& failure, Waiting& waiting) {
    waiting = {failure.reason, failure.message};
    const bool is_image = failure.reason == "ErrImagePull";
    const base::Duration delay =
        is_image ? restart_delay(failure.count + 1, options_) : options_.config_retry;
    const base::Instant due = failure.at + delay;
    if (now_ >= due) return false;
    const base::Instant shown_until = failure.at + base::Duration::seconds(1);
    if (is_image && now_ >= shown_until) {
      waiting = {"ImagePullBackOff", "Back-off: " + failure.message};
    } else if (is_image) {
      wake_at(shown_until);
    }
    wake_at(due);
    return true;
  }

  bool is_sandbox_ready() {
    using Sandbox = PodObserved::Sandbox;
    if (observed_.sandbox == Sandbox::Ready) return true;
    if (observed_.sandbox == Sandbox::Preparing || observed_.sandbox == Sandbox::TearingDown) {
      return false;
    }
    if (observed_.sandbox_failure) {
      const base::Instant due = observed_.sandbox_failure->at + options_.config_retry;
      if (now_ < due) {
        wake_at(due);
        return false;
      }
    }
    const PodAction prepare{Kind::PrepareSandbox, "", 0};
    auto& actions = decision_.actions;
    if (std::find(actions.begin(), actions.end(), prepare) == actions.end()) {
      actions.push_back(prepare);
    }
    return false;
  }

  /// By what is known of the containers; not yet whether one still runs beside.
  std::string phase() const {
    const bool is_cut_off = (is_terminating_ || is_past_deadline_) && !has_live();
    for (const Json& container : init_containers()) {
      if (is_initialized()) break;
      const ContainerObserved& seen_one = seen(container);
      if (is_sidecar(container)) {
        if (seen_one.state == State::Running && seen_one.is_started) continue;
        return is_cut_off ? "Failed" : "Pending";
      }
      if (seen_one.exit && seen_one.exit->code == 0) continue;
      const bool is_over = seen_one.exit && !is_restarted(seen_one, true);
      return is_over || is_cut_off ? "Failed" : "Pending";
    }
    bool is_all_ended = true, is_all_succeeded = true, is_any_new = false;
    for (const Json& container : containers()) {
      const ContainerObserved& seen_one = seen(container);
      is_any_new |= !seen_one.exit && !seen_one.previous && seen_one.state != State::Running;
      const bool is_ended = seen_one.exit && (is_terminating_ || !is_restarted(seen_one, false));
      is_all_ended &= is_ended;
      is_all_succeeded &= is_ended && seen_one.exit->code == 0;
    }
    if (is_past_deadline_ && !has_live()) return "Failed";
    if (is_all_succeeded) return "Succeeded";
    if (is_all_ended || is_cut_off) return "Failed";
    return is_any_new ? "Pending" : "Running";
  }

  const Json& pod_;
  const PodObserved& observed_;
  const LifecycleOptions& options_;
  base::Instant now_;
  std::string restart_policy_;
  bool is_terminating_ = false;
  bool is_past_deadline_ = false;
  PodDecision decision_;
};

}  // namespace

PodDecision decide_pod(const Json& pod, const PodObserved& observed,
                       const LifecycleOptions& options, base::Instant now) {
  return Decider(pod, observed, options, now).run();
}

base::Duration restart_delay(int quick_exits, const LifecycleOptions& options) {
  if (quick_exits <= 1) return {};
  base::Duration delay = options.first_backoff;
  for (int i = 2; i < quick_exits && delay < options.max_backoff; ++i) delay = delay * 2;
  return std::min(delay, options.max_backoff);
}

bool is_sidecar(const Json& init_container) {
  return init_container["restartPolicy"].as_string() == "Always";
}

base::Duration grace_period(const Json& pod) {
  const Json& of_deletion = pod.at("metadata.deletionGracePeriodSeconds");
  if (api::is_being_deleted(pod) && of_deletion.is_int()) {
    return base::Duration::seconds(of_deletion.as_int());
  }
  return base::Duration::seconds(pod.at("spec.terminationGracePeriodSeconds").as_int(30));
}

}  // namespace pelton::agent
