// SPDX-License-Identifier: Apache-2.0
// What the scheduler decided, and why.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace pelton::decide::placement {

struct Binding {
  std::string pod_name, pod_uid, node_name;
  bool operator==(const Binding&) const = default;
};

/// Pods that are bound together or not at all; one pod on its own has an empty `gang`.
struct Placement {
  std::string namespace_name;
  std::string gang;       ///< Gang::id, or ""
  std::string gang_name;  ///< of the JobSet
  std::vector<Binding> bindings;
  std::string reason;
  bool operator==(const Placement&) const = default;
};

/// One ground on which nodes were refused.
struct Misfit {
  std::string reason;  ///< "Insufficient google.com/tpu", "node(s) had untolerated taint {…}"
  int64_t nodes = 0;
  std::string detail;  ///< "needs 2, at most 1 free on node-2", or ""
  bool operator==(const Misfit&) const = default;
};

/// Why a pod has no node.
struct Explanation {
  std::string context;      ///< of the gang: "gang train: 3 of 4 pods fit", or ""
  bool is_waiting = false;  ///< for its gang to be complete; no node was looked at
  int64_t total_nodes = 0;
  std::vector<Misfit> misfits;  ///< most nodes first
  /// "0/4 nodes are available: 3 Insufficient google.com/tpu (needs 2, at most 1 free on node-2),
  /// 1 node(s) …", after the context.
  std::string message() const;
  bool operator==(const Explanation&) const = default;
};

struct Unplaced {
  std::string namespace_name, pod_name, pod_uid;
  Explanation why;
  bool operator==(const Unplaced&) const = default;
};

struct Decision {
  std::vector<Placement> placements;  ///< in the order in which they were decided
  std::vector<Unplaced> unplaced;     ///< sorted by namespace, name
};

}  // namespace pelton::decide::placement
