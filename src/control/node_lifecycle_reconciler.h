// SPDX-License-Identifier: Apache-2.0
// Nodes: silence, taints, eviction. decide/workload/node_lifecycle decides.
#pragma once
#include "control/reconciler.h"
#include "decide/workload/node_lifecycle/decide_node.h"

namespace pelton::control {

class NodeLifecycleReconciler final : public Reconciler {
 public:
  /// Set options.listening_since to the present time: silence from before does not count.
  explicit NodeLifecycleReconciler(decide::workload::NodeLifecycleOptions options)
      : options_(options) {}
  std::string_view name() const override { return "node-lifecycle-controller"; }
  std::vector<std::string> watched_kinds() const override { return {"Lease", "Node", "Pod"}; }
  Keys keys_of(const base::Json& object, const CacheView& view) const override;
  Plan reconcile(const Key& key, const CacheView& view, base::Instant now) const override;

 private:
  decide::workload::NodeLifecycleOptions options_;
};

}  // namespace pelton::control
