// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/node_lifecycle/decide_node.h"

#include <algorithm>
#include <string>

#include "api/object.h"
#include "decide/workload/node_lifecycle/taints.h"

namespace pelton::decide::workload {
namespace {

using base::Duration;
using base::Instant;
using base::Json;

bool has_ended(const Json& pod) {
  const std::string& phase = pod["status"]["phase"].as_string();
  return phase == "Succeeded" || phase == "Failed";
}

/// Marks the pod as lost and removes it without waiting for anybody.
void force_delete(const Json& pod, const std::string& reason, const std::string& message,
                  Instant now, Decision& out) {
  if (!has_ended(pod)) {
    Json next = pod;
    api::set_condition(next, {"DisruptionTarget", "True", reason, message}, now);
    Json& status = next.child("status");
    status.set("phase", "Failed");
    status.set("reason", "NodeLost");
    status.set("message", message);
    out.update_status(std::move(next), message);
  }
  out.remove(pod, message).grace_seconds = 0;
}

class Pass {
 public:
  Pass(const NodeObserved& observed, const NodeLifecycleOptions& options, Instant now)
      : observed_(observed), node_(*observed.node), options_(options), now_(now) {}

  Decision run() {
    const Instant heard = last_heard(node_, observed_.lease, options_);
    const bool is_silent = now_ - heard >= options_.grace;
    if (is_silent) {
      mark_unknown();
    } else {
      out_.look_again_in(heard + options_.grace - now_);
    }
    // The taints that the condition asks for count at once: pods of a node that has come back stay.
    tainted_ = node_;
    const bool changed = apply_condition_taints(tainted_, ready_status(), now_);
    if (changed && out_.actions.empty()) {
      out_.update(tainted_, "its taints follow its condition Ready");
    }
    if (observed_.is_every_node_silent) {
      out_.why = "every node is silent: nothing is evicted until one is heard of";
      if (is_silent) out_.look_again_in(Duration::seconds(1));
      return std::move(out_);
    }
    if (!is_silent && ready_status() == "Unknown") {
      out_.why = "it is heard of again: nothing is evicted until it has said how it is";
      return std::move(out_);
    }
    for (const Json* pod : observed_.pods) evict(*pod, is_silent, heard);
    return std::move(out_);
  }

 private:
  void mark_unknown() {
    Json next = node_;
    const bool was_unknown = ready_status() == "Unknown";
    std::vector<std::string> types = {"Ready"};
    for (const Json& condition : node_["status"]["conditions"].items()) {
      types.push_back(condition["type"].as_string());
    }
    bool changed = false;
    for (const std::string& type : types) {
      const Json* old = api::find_condition(next, type);
      if (old != nullptr && (*old)["status"].as_string() == "Unknown") continue;
      changed |= api::set_condition(
          next, {type, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."},
          now_);
    }
    if (!changed) return;
    out_.update_status(std::move(next), "its lease has not been renewed for the grace period");
    if (!was_unknown) {
      out_.note(node_, "Normal", "NodeNotReady",
                "Node " + api::name_of(node_) + " status is now: NodeNotReady");
    }
  }

  std::string ready_status() const {
    const Json* ready = api::find_condition(node_, "Ready");
    return ready == nullptr ? "" : (*ready)["status"].as_string();
  }

  /// Asks a pod to go as soon as its tolerations end; later takes its name away.
  void evict(const Json& pod, bool is_silent, Instant heard) {
    if (api::is_being_deleted(pod)) {
      if (!is_silent) return;
      const Instant lost = heard + options_.grace + options_.force_after;
      if (now_ < lost) {
        out_.look_again_in(lost - now_);
        return;
      }
      if (has_ended(pod) && pod["metadata"]["deletionGracePeriodSeconds"].as_int(-1) == 0) return;
      force_delete(pod, "DeletionByTaintManager", "its node has been silent for too long", now_,
                   out_);
      return;
    }
    if (has_ended(pod)) return;
    const auto leave_at = eviction_time(tainted_, pod);
    if (!leave_at) return;
    if (now_ < *leave_at) {
      out_.look_again_in(*leave_at - now_);
      return;
    }
    const std::string message = "Taint manager: deleting due to NoExecute taint";
    Json next = pod;
    const bool is_new = api::set_condition(
        next, {"DisruptionTarget", "True", "DeletionByTaintManager", message}, now_);
    if (is_new) out_.update_status(std::move(next), message);
    Action& removal = out_.remove(pod, message);
    // A pod that has completed since it was seen keeps its place. (The update says so too: it fails
    // on anything newer.)
    if (!is_new) removal.resource_version = api::resource_version_of(pod);
    out_.note(pod, "Normal", "TaintManagerEviction",
              "Marking for deletion Pod " + api::namespace_of(pod) + "/" + api::name_of(pod));
    if (is_silent) out_.look_again_in(options_.force_after);
  }

  const NodeObserved& observed_;
  const Json& node_;
  const NodeLifecycleOptions& options_;
  const Instant now_;
  Json tainted_;
  Decision out_;
};

Decision decide_orphans(const NodeObserved& observed, const NodeLifecycleOptions& options,
                        Instant now) {
  Decision out;
  for (const Json* pod : observed.pods) {
    const Json* scheduled = api::find_condition(*pod, "PodScheduled");
    Instant bound = api::creation_time_of(*pod);
    if (scheduled != nullptr) {
      auto at = base::parse_time((*scheduled)["lastTransitionTime"].as_string());
      if (at.ok()) bound = *at;
    }
    const Duration left = bound + options.orphan_after - now;
    if (left > Duration()) {
      out.look_again_in(left);
    } else if (!has_ended(*pod) || !api::is_being_deleted(*pod)) {
      force_delete(*pod, "DeletionByPodGC", "PodGC: node no longer exists", now, out);
    }
  }
  return out;
}

}  // namespace

Instant last_heard(const Json& node, const Json* lease, const NodeLifecycleOptions& options) {
  Instant heard = std::max(options.listening_since, api::creation_time_of(node));
  if (lease == nullptr) return heard;
  auto renewed = base::parse_time((*lease)["spec"]["renewTime"].as_string());
  return renewed.ok() ? std::max(heard, *renewed) : heard;
}

bool is_silent(const Json& node, const Json* lease, const NodeLifecycleOptions& options,
               Instant now) {
  return now - last_heard(node, lease, options) >= options.grace;
}

// By 0.6 of the grace every node that lives has renewed its Lease once (agents do after 0.4,
// kubelets after 0.25 of it). After a stand-still some are heard of a moment before the others,
// whose silence would be over the grace by then and mean nothing.
bool was_deaf(base::Duration silence_of_all, const NodeLifecycleOptions& options) {
  return silence_of_all * 5 >= options.grace * 3;
}

Decision decide_node(const NodeObserved& observed, const NodeLifecycleOptions& options,
                     Instant now) {
  if (observed.node == nullptr) return decide_orphans(observed, options, now);
  if (api::is_being_deleted(*observed.node)) return {};
  return Pass(observed, options, now).run();
}

}  // namespace pelton::decide::workload
