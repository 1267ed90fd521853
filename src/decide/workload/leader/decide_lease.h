// SPDX-License-Identifier: Apache-2.0
// Who of several acts: whoever's name stands in a Lease, by the rules of client-go's leader
// election, so that its processes and ours can contend for the same one.
//
// A holder renews. The others wait until the Lease has not changed for as long as it says that it
// lasts, by their own clock and since they saw it so: clocks of different machines are never
// compared. Pure.
#pragma once
#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/time.h"

namespace pelton::decide::workload {

struct LeaseContender {
  std::string identity;  ///< no two processes have the same
  std::string namespace_name, name;
  base::Duration duration = base::Duration::seconds(15);
};

struct LeaseObserved {
  const base::Json* lease = nullptr;  ///< null: there is none
  base::Duration unchanged_for;       ///< since this contender first saw it as it is
};

struct LeaseDecision {
  enum class Verb : uint8_t { Wait, Create, Update };
  Verb verb = Verb::Wait;
  base::Json lease;    ///< to be written; an update fails where somebody was faster
  std::string holder;  ///< Wait: who holds it
};

LeaseDecision decide_lease(const LeaseObserved& observed, const LeaseContender& self,
                           base::Instant now);
/// The Lease with nobody's name in it, for a holder that ends in order.
base::Json released(base::Json lease, base::Instant now);
const std::string& holder_of(const base::Json& lease);

}  // namespace pelton::decide::workload
