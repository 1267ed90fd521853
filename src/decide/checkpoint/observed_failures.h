// SPDX-License-Identifier: Apache-2.0
// How often a job has failed so far, by the tier that it took to go on.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace pelton::decide::checkpoint {

/// Beside the time over which they were counted: few failures in little time say little.
struct ObservedFailures {
  int64_t node_seconds = 0;  ///< for which nodes have run the job, all together
  int64_t memory = 0;        ///< that the memory of its nodes has survived
  int64_t durable = 0;       ///< that only the durable tier has
  bool operator==(const ObservedFailures&) const = default;
};
/// Of each of the three; what is added up from here on stays within 64 bits.
inline constexpr int64_t kMostObserved = 1'000'000'000'000'000;

/// "86400:3:1", as the members stand above (PELTON_FAILURES_OBSERVED); empty where there is
/// nothing.
std::string to_text(const ObservedFailures& failures);
/// InvalidArgument: it is anything else.
base::Result<ObservedFailures> parse_failures(std::string_view text);

}  // namespace pelton::decide::checkpoint
