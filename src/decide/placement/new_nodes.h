// SPDX-License-Identifier: Apache-2.0
// Nodes that would suit pods, for the suggestion to add some. A part of suggest().
#pragma once
#include <vector>

#include "decide/placement/change.h"

namespace pelton::decide::placement {

/// One node for each pod of the unit, in an order in which the first few may suffice: with the
/// labels that the pod selects, in the domain that it must share with others or, where it must keep
/// apart, in one of its own; as large as the smallest node there is that could hold the pod empty.
/// Empty: the pods' selectors contradict themselves.
std::vector<Node> new_nodes_for(const Observed& observed, const PodIndexes& unit);

}  // namespace pelton::decide::placement
