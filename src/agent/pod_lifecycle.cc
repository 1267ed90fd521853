// SPDX-License-Identifier: Apache-2.0
#include "agent/pod_lifecycle.h"

#include <algorithm>

#include "api/object.h"

namespace pelton::agent {
namespace {

using base::Json;
using Kind = PodAction::Kind;
using State = ContainerObserved::State;

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
    const bool is_init_done = advance_init();
    if (is_init_done) advance_main();
    decision_.phase = phase();
    if (is_terminal() && !has_live()) finish();
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
  bool is_restarted(const ContainerObserved& container, bool is_init) const {
    if (!container.exit) return true;
    if (restart_policy_ == "Never") return false;
    if (restart_policy_ == "OnFailure" || is_init) return container.exit->code != 0;
    return true;
  }

  void stop_containers() {
    const base::Duration grace = grace_period(pod_);
    for (const auto& [name, container] : observed_.containers) {
      if (!container.is_live()) continue;
      const bool is_out_of_time =
          observed_.is_gone || grace <= base::Duration() ||
          (container.terminated_at && now_ >= *container.terminated_at + grace);
      if (is_out_of_time) {
        if (!container.is_kill_sent) act(Kind::Kill, name);
      } else if (!container.terminated_at) {
        act(Kind::Terminate, name);
        wake_at(now_ + grace);
      } else {
        wake_at(*container.terminated_at + grace);
      }
    }
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

  /// Whether every init container has succeeded. They run one after another.
  bool advance_init() {
    for (const Json& container : init_containers()) {
      const ContainerObserved& seen_one = seen(container);
      if (seen_one.state == State::Exited && seen_one.exit->code == 0) continue;
      const std::string& name = container["name"].as_string();
      if (!seen_one.is_live() && is_restarted(seen_one, true))
        start(name, seen_one, "PodInitializing");
      for (const Json& later : containers()) {
        decision_.waiting[later["name"].as_string()] = {"PodInitializing", ""};
      }
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

  bool is_terminal() const { return decision_.phase == "Succeeded" || decision_.phase == "Failed"; }

  std::string phase() const {
    for (const Json& container : init_containers()) {
      const ContainerObserved& seen_one = seen(container);
      if (seen_one.exit && seen_one.exit->code == 0) continue;
      const bool is_over = seen_one.exit && !is_restarted(seen_one, true);
      return is_over || (is_terminating_ && !has_live()) ? "Failed" : "Pending";
    }
    bool is_all_ended = true, is_all_succeeded = true, is_any_new = false;
    for (const Json& container : containers()) {
      const ContainerObserved& seen_one = seen(container);
      is_any_new |= !seen_one.exit && !seen_one.previous && seen_one.state != State::Running;
      const bool is_ended = seen_one.exit && (is_terminating_ || !is_restarted(seen_one, false));
      is_all_ended &= is_ended;
      is_all_succeeded &= is_ended && seen_one.exit->code == 0;
    }
    if (is_all_succeeded) return "Succeeded";
    if (is_all_ended || (is_terminating_ && !has_live())) return "Failed";
    return is_any_new ? "Pending" : "Running";
  }

  const Json& pod_;
  const PodObserved& observed_;
  const LifecycleOptions& options_;
  base::Instant now_;
  std::string restart_policy_;
  bool is_terminating_ = false;
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

base::Duration grace_period(const Json& pod) {
  const Json& of_deletion = pod.at("metadata.deletionGracePeriodSeconds");
  if (api::is_being_deleted(pod) && of_deletion.is_int()) {
    return base::Duration::seconds(of_deletion.as_int());
  }
  return base::Duration::seconds(pod.at("spec.terminationGracePeriodSeconds").as_int(30));
}

}  // namespace pelton::agent
