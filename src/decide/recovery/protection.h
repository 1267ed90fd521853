// SPDX-License-Identifier: Apache-2.0
// Whether the loss of any one node leaves a job's checkpoints in memory whole. Pure.
#pragma once
#include <optional>
#include <string>

#include "decide/recovery/observed.h"

namespace pelton::decide::recovery {

/// The condition of a job's record: False while some part lies in the memory of one node only.
inline constexpr const char* kProtectedCondition = "CheckpointProtected";

struct Protection {
  bool is_protected = false;
  std::string reason;   ///< "Replicated" or "Unprotected"
  std::string message;  ///< for people: what is missing, and why where that is known
};

/// From what the members of the generation report. Their reports are of different moments, so it
/// is asked of each writer whether two nodes hold a part of its, in any version that the present
/// generation has written, or in the one that it has restored. Absent: nothing of the job is in
/// memory.
std::optional<Protection> protection_of(const Observed& observed, const Generation& generation);

}  // namespace pelton::decide::recovery
