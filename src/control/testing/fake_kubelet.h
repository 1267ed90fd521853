// SPDX-License-Identifier: Apache-2.0
// For tests: all kubelets of a cluster in one reconciler. Pods that are bound run at once, end as
// their annotation test/exit-code says, and go when they are asked to; live nodes renew leases.
#pragma once
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/object.h"
#include "control/reconciler.h"

namespace pelton::control {

class FakeKubelet final : public Reconciler {
 public:
  /// Nodes in `dead` do nothing any more; shared, so that a test can kill one.
  using DeadNodes = std::shared_ptr<std::set<std::string>>;
  explicit FakeKubelet(DeadNodes dead) : dead_(std::move(dead)) {}

  std::string_view name() const override { return "fake-kubelet"; }
  std::vector<std::string> watched_kinds() const override { return {"Lease", "Node", "Pod"}; }
  Keys keys_of(const base::Json& object, const CacheView&) const override {
    const std::string& kind = object["kind"].as_string();
    if (kind == "Lease") return {};
    if (kind == "Node") return {{"", api::name_of(object)}};
    const std::string& node = object["spec"]["nodeName"].as_string();
    return node.empty() ? Keys() : Keys{{"", node}, own_key(object)};
  }

  Plan reconcile(const Key& key, const CacheView& view, base::Instant now) const override {
    return key.namespace_name.empty() ? renew(key.name, view, now) : run_pod(key, view, now);
  }

  static constexpr const char* kExitCode = "test/exit-code";

 private:
  Plan renew(const std::string& node, const CacheView& view, base::Instant now) const {
    Plan plan;
    if (dead_->contains(node) || view.get("Node", "", node) == nullptr) return plan;
    plan.requeue_after = base::Duration::seconds(2);
    const base::Json* lease = view.get("Lease", "kube-node-lease", node);
    base::Json next =
        lease != nullptr
            ? *lease
            : base::Json::object({{"apiVersion", "coordination.k8s.io/v1"}, {"kind", "Lease"}});
    next.make("metadata.name") = node;
    next.make("metadata.namespace") = "kube-node-lease";
    if (lease != nullptr) {
      auto last = base::parse_time((*lease)["spec"]["renewTime"].as_string());
      if (last.ok() && now - *last < base::Duration::seconds(2)) return plan;
    }
    next.make("spec.holderIdentity") = node;
    next.make("spec.leaseDurationSeconds") = 5;
    next.make("spec.renewTime") = base::format_micro_time(now);
    if (lease == nullptr) {
      plan.commands.emplace_back(Create{std::move(next)});
    } else {
      plan.commands.emplace_back(Update{std::move(next)});
    }
    return plan;
  }

  Plan run_pod(const Key& key, const CacheView& view, base::Instant now) const {
    Plan plan;
    const base::Json* pod = view.get("Pod", key.namespace_name, key.name);
    if (pod == nullptr || dead_->contains((*pod)["spec"]["nodeName"].as_string())) return plan;
    if (api::is_being_deleted(*pod)) {
      Delete gone;
      gone.key = client::key_of(*pod);
      gone.uid = api::uid_of(*pod);
      gone.grace_period_seconds = 0;
      plan.commands.emplace_back(std::move(gone));
      return plan;
    }
    const std::string& exit_code = api::annotation_of(*pod, kExitCode);
    const std::string phase = exit_code.empty()  ? "Running"
                              : exit_code == "0" ? "Succeeded"
                                                 : "Failed";
    if ((*pod)["status"]["phase"].as_string() == phase) return plan;
    base::Json next = *pod;
    next.make("status.phase") = phase;
    next.make("status.podIP") = "10.64.1.2";
    api::set_condition(next, {"Ready", phase == "Running" ? "True" : "False", "", ""}, now);
    plan.commands.emplace_back(UpdateStatus{std::move(next)});
    return plan;
  }

  DeadNodes dead_;
};

}  // namespace pelton::control
