// SPDX-License-Identifier: Apache-2.0
// Events are news: they go some time after they happened last.
#pragma once
#include "base/json.h"
#include "base/time.h"
#include "decide/workload/decision.h"

namespace pelton::decide::workload {

/// kube-apiserver's default of --event-ttl.
inline constexpr base::Duration kEventTtl = base::Duration::hours(1);

/// When a core/v1 Event happened last: the latest of its times, that of its creation among them.
base::Instant last_seen_of(const base::Json& event);

/// Deletes the event, in exactly the state observed, once `ttl` has passed since it was last seen;
/// asks to be called again then. Pure.
Decision decide_event(const base::Json& event, base::Duration ttl, base::Instant now);

}  // namespace pelton::decide::workload
