// SPDX-License-Identifier: Apache-2.0
// What a node's silence means for the node and for its pods.
//
// Unreachable is not dead: a silent node's processes may still run. So there are steps. Silent for
// `grace`: Ready becomes Unknown and the node is tainted; pods that do not tolerate the taint are
// asked to go (condition DisruptionTarget, graceful deletion). Silent for `force_after` more: they
// are declared failed and deleted by force, so that their places may be taken again. Whatever still
// runs there is ended by the node's agent once it is back, since the API knows the pod no more. If
// every node is silent, it is the listener who is deaf (a stall, a full disk, a suspended machine):
// nothing is evicted. Nor is anything from a node that is heard of again and has not yet said how
// it is.
#pragma once
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "decide/workload/decision.h"

namespace pelton::decide::workload {

struct NodeLifecycleOptions {
  base::Duration grace = base::Duration::seconds(5);
  base::Duration force_after = base::Duration::seconds(2);
  /// Pods of a node that has no Node object go once they have been bound for so long.
  base::Duration orphan_after = base::Duration::seconds(40);
  /// Silence counts from here at the earliest: while nobody listened, nobody could be heard. When
  /// the controllers began, or somebody was heard of after a silence of all.
  base::Instant listening_since;
};

struct NodeObserved {
  const base::Json* node = nullptr;     ///< null: there is no such Node
  const base::Json* lease = nullptr;    ///< of kube-node-lease; null: none yet
  std::vector<const base::Json*> pods;  ///< bound to it
  bool is_every_node_silent = false;
};

/// When the node was last heard of (or first could have been).
base::Instant last_heard(const base::Json& node, const base::Json* lease,
                         const NodeLifecycleOptions& options);
bool is_silent(const base::Json& node, const base::Json* lease, const NodeLifecycleOptions& options,
               base::Instant now);

/// Whether the listener stood still, where no node at all was heard of for so long.
bool was_deaf(base::Duration silence_of_all, const NodeLifecycleOptions& options);

/// Pure.
Decision decide_node(const NodeObserved& observed, const NodeLifecycleOptions& options,
                     base::Instant now);

}  // namespace pelton::decide::workload
