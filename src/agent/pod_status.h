// SPDX-License-Identifier: Apache-2.0
// The status that a pod's node writes. Pure.
#pragma once
#include <optional>
#include <string>

#include "agent/pod_lifecycle.h"
#include "api/object.h"
#include "base/json.h"
#include "base/time.h"

namespace pelton::agent {

struct StatusFacts {
  std::string host_address;
  std::string pod_address;   ///< "" before there is a sandbox
  base::Instant start_time;  ///< when this node first saw the pod
  base::Instant now;
  std::optional<api::Condition> workers;  ///< what the pod's supervisor says
};

/// The whole status. Conditions of others (PodScheduled, DisruptionTarget) are taken from the pod;
/// transition times stay where a condition's status stays.
base::Json build_pod_status(const base::Json& pod, const PodObserved& observed,
                            const PodDecision& decision, const StatusFacts& facts);

/// "pelton://<pod uid>/<container>/<attempt>": also the path of the container's directory under the
/// node's, as pods/<pod uid>/containers/<container>/<attempt>.
std::string container_id(const std::string& pod_uid, const std::string& container, int attempt);

}  // namespace pelton::agent
