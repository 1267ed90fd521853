// SPDX-License-Identifier: Apache-2.0
// What makes a node right or wrong for a shape whatever else runs there: taints, labels, cordon.
// Pure.
#pragma once
#include <cstdint>
#include <string>

#include "decide/placement/observed.h"

namespace pelton::decide::placement {

/// Why the node is out of the question, in upstream's words; "" where it is not.
std::string node_refusal(const Shape& shape, const Node& node);
/// nodeSelector and required node affinity.
bool selects_node(const Shape& shape, const Node& node);
/// The first NoSchedule or NoExecute taint that is not tolerated, or nullptr.
const Taint* untolerated_taint(const Shape& shape, const Node& node);
/// The node's spec.unschedulable, which a toleration of its taint overrides.
bool is_cordoned_for(const Shape& shape, const Node& node);

/// How far the node is from what the pod prefers; less is better: untolerated PreferNoSchedule
/// taints first, then the weights of preferred node affinity, negated.
std::pair<int64_t, int64_t> node_dislike(const Shape& shape, const Node& node);

}  // namespace pelton::decide::placement
