// SPDX-License-Identifier: Apache-2.0
// Whether the loss of any one node leaves a job's checkpoints in memory whole. Pure.
#pragma once
#include <optional>
#include <string>

#include "decide/recovery/observed.h"

namespace pelton::decide::recovery {

/// The condition of a job's record: False while there is a node with which every version is lost.
inline constexpr const char* kProtectedCondition = "CheckpointProtected";

struct Protection {
  bool is_protected = false;
  std::string reason;   ///< "Replicated" or "Unprotected"
  std::string message;  ///< for people: what is missing, and why where that is known
};

struct ProtectionNow {
  /// Nothing can be said: what the members report is not of one moment, or of another generation.
  bool is_unknown = false;
  std::optional<Protection> protection;  ///< absent, and known: nothing of the job is in memory
};

/// From what the members of the generation report: whether for each node (rack, where it is known)
/// a version remains of which the others hold all parts. Only what the present generation has
/// written counts, and what it has restored.
ProtectionNow protection_of(const Observed& observed, const Generation& generation);

}  // namespace pelton::decide::recovery
