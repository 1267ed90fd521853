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
  decide::workload::NodeLifecycleOptions listening(base::Instant newest) const;

  decide::workload::NodeLifecycleOptions options_;
  /// When anybody was last heard of, and when that was after a silence of all. Not to be had from
  /// the objects: who is heard first after such a silence (the disk was full, the server stood
  /// still) has overwritten when that was before, and the others have a moment to follow. Nothing
  /// is lost with it: a successor listens anew.
  mutable base::Instant newest_heard_, heard_again_;
};

}  // namespace pelton::control
