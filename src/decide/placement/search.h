// SPDX-License-Identifier: Apache-2.0
// Every way of placing the pods of a gang, within a bound: where the greedy order fails.
#pragma once
#include <optional>

#include "decide/placement/pack.h"

namespace pelton::decide::placement {

/// A node for each pod, or nullopt: there is no way, or the gang is larger than 64 pods, or no way
/// was found in 20,000 steps. Pods of one shape without rules are not searched for: greed is exact
/// there. Leaves the room as it was.
std::optional<NodeList> search(const Observed& observed, Room& room, const Pods& pods);

}  // namespace pelton::decide::placement
