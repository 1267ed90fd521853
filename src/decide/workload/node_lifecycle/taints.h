// SPDX-License-Identifier: Apache-2.0
// Taints that follow a node's condition Ready, and how long a pod may stay under them. Pure.
#pragma once
#include <optional>
#include <string_view>

#include "base/json.h"
#include "base/time.h"

namespace pelton::decide::workload {

inline constexpr std::string_view kUnreachable = "node.kubernetes.io/unreachable";
inline constexpr std::string_view kNotReady = "node.kubernetes.io/not-ready";

/// Ready Unknown: unreachable; Ready False: not-ready; Ready True (or absent): neither; each with
/// the effects NoSchedule and NoExecute. In place; returns whether anything changed.
bool apply_condition_taints(base::Json& node, std::string_view ready_status, base::Instant now);

/// When the pod has to leave the node for its NoExecute taints; nullopt: never.
std::optional<base::Instant> eviction_time(const base::Json& node, const base::Json& pod);

/// Whether the toleration is about this taint.
bool tolerates(const base::Json& toleration, const base::Json& taint);

}  // namespace pelton::decide::workload
