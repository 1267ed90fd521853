// SPDX-License-Identifier: Apache-2.0
// All reconcilers, as a Manager takes them.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "control/reconciler.h"
#include "decide/workload/event_expiry/decide_event.h"
#include "decide/workload/job/observed.h"
#include "decide/workload/node_lifecycle/decide_node.h"

namespace pelton::control {

struct ReconcilerOptions {
  decide::workload::JobOptions job;
  decide::workload::NodeLifecycleOptions node_lifecycle;
  /// How long Events are kept; nullopt where the server removes them itself.
  std::optional<base::Duration> event_ttl = decide::workload::kEventTtl;
  /// Machines that can be had (provider::Provider::offers()); none: nobody is nominated for one.
  std::vector<base::Json> offers;
};

/// Those of the embedded cluster. `now`: when the controllers begin (see listening_since).
std::vector<std::unique_ptr<Reconciler>> make_reconcilers(base::Instant now,
                                                          ReconcilerOptions options = {});

}  // namespace pelton::control
