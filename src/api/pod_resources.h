// SPDX-License-Identifier: Apache-2.0
// What a pod takes of its node, and what a node has to give. Pure.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "base/json.h"

namespace pelton::api {

/// Resource -> amount: cpu in thousandths, everything else in whole units. "pods" counts pods.
using Amounts = std::map<std::string, int64_t, std::less<>>;

/// A map of quantities ({"cpu": "500m"}); what cannot be read is 0.
Amounts amounts_from(const base::Json& map);

/// What a pod's containers request together: the larger of what they ask for while they run
/// (sidecars included) and of what starting up takes at most; overhead and one of "pods" on top.
/// Limits stand in for requests that are not given. spec.resources, where stated, wins.
Amounts requests_of(const base::Json& pod);

/// status.allocatable, or status.capacity where there is none. "pods" is 110 where the node does
/// not say.
Amounts allocatable_of(const base::Json& node);

/// Phase Succeeded or Failed: takes nothing any more.
bool has_ended(const base::Json& pod);

}  // namespace pelton::api
