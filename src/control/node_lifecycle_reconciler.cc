// SPDX-License-Identifier: Apache-2.0
#include "control/node_lifecycle_reconciler.h"

#include <algorithm>

#include "api/object.h"
#include "control/workload_plan.h"

namespace pelton::control {

using base::Json;
namespace workload = decide::workload;

namespace {

constexpr std::string_view kLeases = "kube-node-lease";

}  // namespace

Keys NodeLifecycleReconciler::keys_of(const Json& object, const CacheView&) const {
  const std::string& kind = object["kind"].as_string();
  if (kind == "Node") return {own_key(object)};
  if (kind == "Lease") {
    if (api::namespace_of(object) != kLeases) return {};
    return {{"", api::name_of(object)}};
  }
  const std::string& node = object["spec"]["nodeName"].as_string();
  if (node.empty()) return {};
  return {{"", node}};
}

Plan NodeLifecycleReconciler::reconcile(const Key& key, const CacheView& view,
                                        base::Instant now) const {
  workload::NodeObserved observed;
  observed.node = view.get("Node", "", key.name);
  observed.lease = view.get("Lease", kLeases, key.name);
  observed.pods = view.list_pods_on(key.name);
  base::Instant newest;
  for (const Json* node : view.list("Node")) {
    const Json* lease = view.get("Lease", kLeases, api::name_of(*node));
    newest = std::max(newest, workload::last_heard(*node, lease, options_));
  }
  observed.is_every_node_silent = now - newest >= options_.grace;
  return to_plan(workload::decide_node(observed, listening(newest), now));
}

/// Options with the time from which on somebody could be heard.
workload::NodeLifecycleOptions NodeLifecycleReconciler::listening(base::Instant newest) const {
  const bool was_anybody_heard = newest_heard_ != base::Instant();
  if (was_anybody_heard && workload::was_deaf(newest - newest_heard_, options_)) {
    heard_again_ = newest;
  }
  newest_heard_ = std::max(newest_heard_, newest);
  workload::NodeLifecycleOptions options = options_;
  options.listening_since = std::max(options.listening_since, heard_again_);
  return options;
}

}  // namespace pelton::control
