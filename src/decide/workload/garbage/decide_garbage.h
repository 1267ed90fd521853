// SPDX-License-Identifier: Apache-2.0
// What ownership says about one object: whether it goes with its owners, and whether it may go
// before what it owns.
//
// Background: an object all of whose owners are gone is deleted. Foreground (finalizer
// foregroundDeletion): what it owns goes first, then the object. Orphan (finalizer orphan): what it
// owns forgets it first.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "decide/workload/decision.h"

namespace pelton::decide::workload {

inline constexpr std::string_view kForegroundDeletion = "foregroundDeletion";
inline constexpr std::string_view kOrphan = "orphan";

enum class OwnerState : uint8_t {
  Present,
  WaitsForDependents,  ///< present, being deleted in the foreground
  Gone,
  Unknown,  ///< not seen, but the view is too old to say that it is gone, or of an unknown kind
};

struct GarbageObserved {
  const base::Json* object = nullptr;         ///< never null
  std::vector<OwnerState> owners;             ///< one per entry of metadata.ownerReferences
  std::vector<const base::Json*> dependents;  ///< objects that name its uid as an owner
};

/// Pure.
Decision decide_garbage(const GarbageObserved& observed);

}  // namespace pelton::decide::workload
