// SPDX-License-Identifier: Apache-2.0
// Whether a call to an object store is tried again, and when.
//
// Exponential back-off with jitter, so that a thousand ranks do not come back at the same moment; a
// store that says that it is too much for it (503 SlowDown, 429) is left alone for longer.
#pragma once
#include <cstdint>
#include <optional>

#include "base/time.h"

namespace pelton::decide::checkpoint {

/// What came of one try.
struct Tried {
  int status = 0;             ///< of HTTP; 0: no answer
  bool is_transient = false;  ///< the answer's text says so, whatever its status
  int tries = 1;              ///< how many there were
  base::Duration elapsed;     ///< since the first one began
  base::Duration asked;       ///< the server's Retry-After
  uint64_t jitter = 0;        ///< any number: another one for another caller
};

/// How long to wait before the next try; absent where it would say the same again, or would begin
/// after `patience`.
std::optional<base::Duration> decide_again(const Tried& tried, base::Duration patience);

}  // namespace pelton::decide::checkpoint
