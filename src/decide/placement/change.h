// SPDX-License-Identifier: Apache-2.0
// A change, applied to a copy of an observation. A part of suggest().
#pragma once
#include <vector>

#include "decide/placement/suggest.h"

namespace pelton::decide::placement {

/// Indexes into Observed::pending.
using PodIndexes = std::vector<size_t>;

/// The pods that are placed together with that one: the gang's that wait, or itself alone.
PodIndexes unit_of(const Observed& observed, size_t pod);
/// The observation as it would be after the change; `unit`: the pods that are changed.
Observed apply_change(const Observed& observed, const PodIndexes& unit, const Change& change);

}  // namespace pelton::decide::placement
