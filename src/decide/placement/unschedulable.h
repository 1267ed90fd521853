// SPDX-License-Identifier: Apache-2.0
// What the scheduler has said of a pod.
#pragma once
#include "base/json.h"

namespace pelton::decide::placement {

/// It has no node, and the scheduler has found none for it (condition PodScheduled).
bool is_unschedulable(const base::Json& pod);

}  // namespace pelton::decide::placement
