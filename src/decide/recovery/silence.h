// SPDX-License-Identifier: Apache-2.0
// A node that has gone is known by its silence, some seconds later than by the peers who lose their
// connections to it. Pure.
#pragma once
#include <optional>
#include <string>

#include "base/time.h"
#include "decide/recovery/evidence.h"

namespace pelton::decide::recovery {

struct Silence {
  std::optional<Failure> gone;         ///< of the member whose node is silent
  std::optional<base::Instant> until;  ///< nothing should be decided before
  std::string waits_for;
};
/// Where all that has failed speaks of a lost peer, and a member has not said anything: whether its
/// node has been heard of since. A failure with a cause of its own, or any word of that node, ends
/// the waiting; so it costs a job whose nodes live at most the time between two renewals of a
/// Lease, and mostly nothing.
Silence look_for_silence(const Observed& observed, const Evidence& evidence, base::Instant now);

}  // namespace pelton::decide::recovery
