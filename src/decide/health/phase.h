// SPDX-License-Identifier: Apache-2.0
// What a worker says that it is doing: the phases of the heartbeat page.
#pragma once
#include <cstddef>
#include <cstdint>

namespace pelton::decide::health {

/// As numbered in the page (launch/heartbeat_page.h; python/pelton/heartbeat.py). A number that is
/// not known here is kept as it is.
enum class Phase : uint32_t {
  None,
  Start,
  Compile,
  Step,
  Eval,
  Save,
  Restore,
  Collective,
  Data,
  Done,
  Exit,  ///< it dies of an exception that nobody caught
};
inline constexpr size_t kPhases = 11;
const char* phase_name(Phase phase);  ///< "collective"; "other" for an unknown number

}  // namespace pelton::decide::health
