// SPDX-License-Identifier: Apache-2.0
// Binding a gang on a Kubernetes that cannot bind several pods in one transaction.
//
// The plan is written down before the first pod is bound: each pod gets the annotation
// pelton.dev/planned-node. A scheduler that dies in between leaves either no bound pod (and its
// successor decides anew, the notes notwithstanding) or a gang whose unbound pods all say where
// they belong, which its successor binds there before it decides anything else (see
// decide/placement/). The gang is thus whole in the end, but not at every moment: that is what
// the virtual resource of our own server adds.
#pragma once
#include <vector>

#include "control/plan.h"

namespace pelton::control {

/// First every note, then every binding, in the order of the gang's bindings.
std::vector<Command> record_then_bind(const GangBind& gang);

}  // namespace pelton::control
