// SPDX-License-Identifier: Apache-2.0
// Placing pods on nodes: one by pods/binding, a gang by the virtual resource gangbindings. Pure;
// the pipeline reads the pods before and commits them all in one transaction after.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "base/time.h"

namespace pelton::apiserver {

struct PodBinding {
  std::string pod_name;
  std::string pod_uid;  ///< "" is any
  std::string node_name;
};

/// Reads a v1 Binding; its name is the pod's. BadRequest or Invalid says what is wrong.
base::Result<PodBinding> read_binding(const base::Json& body, const std::string& pod_name);

/// Reads spec.bindings of a GangBinding. Invalid where empty, incomplete or a pod stands twice.
base::Result<std::vector<PodBinding>> read_gang_binding(const base::Json& body);

/// The pod bound: spec.nodeName set and condition PodScheduled True. Conflict, naming the pod,
/// where it is being deleted, has another uid, is gated or is bound already.
base::Result<base::Json> bind_pod(base::Json pod, const PodBinding& binding, base::Instant now);

/// The 409 of a pod that cannot be bound to that node.
base::Status pod_conflict(const PodBinding& binding, const std::string& why);
/// The 409 of a gang whose member `pod` does not fit any more.
base::Status gang_conflict(const std::string& gang, const PodBinding& binding,
                           const std::string& why);

}  // namespace pelton::apiserver
