// SPDX-License-Identifier: Apache-2.0
// The Node and the Lease that an agent keeps for its machine. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "agent/park.h"
#include "api/object.h"
#include "base/json.h"
#include "base/time.h"
#include "decide/recovery/observed.h"

namespace pelton::agent {

struct NodeFacts {
  std::string host_address;
  uint16_t kubelet_port = 0;
  std::string kernel_version, os_image, machine_id, boot_id;  ///< may be empty
  std::string limits_problem;  ///< why containers are not held to their limits; "" where they are
  std::string limits_home;     ///< by what they are, for people
};

/// Node condition: whether containers are held to their limits of cpu and memory.
constexpr const char* kLimitsCondition = "pelton.dev/ResourceLimits";

using decide::recovery::kDeviceFault;  ///< node condition

constexpr const char* kLeaseNamespace = "kube-node-lease";
/// Marks a node whose accelerators are counted and handed out, and compute nothing.
constexpr const char* kVirtualAcceleratorLabel = "pelton.dev/virtual-accelerator";

/// Metadata (labels of the park with the well-known ones over them) and spec.
base::Json build_node(const Machine& machine);
/// The Node as somebody may expect it who looks for room: build_node() with status.allocatable.
base::Json build_offer(const Machine& machine);
/// status: capacity, addresses, endpoint, info and conditions; `before` is the Node's present
/// status, whose transition times stay where a condition stays.
/// `fault`: what was found wrong, besides what `before` says of the same boot of the machine.
base::Json build_node_status(const Machine& machine, const NodeFacts& facts,
                             const std::optional<api::Condition>& fault, const base::Json& before,
                             base::Instant now);
base::Json build_lease(const std::string& node_name, base::Duration duration, base::Instant now);

}  // namespace pelton::agent
