// SPDX-License-Identifier: Apache-2.0
// What a supervisor has found out about its workers, as Events of the pod. Pure.
#pragma once
#include <string>
#include <vector>

#include "decide/recovery/records.h"

namespace pelton::agent {

struct WorkerEvent {
  std::string reason;   ///< "WorkerHung", "WorkerSlow", "WorkerSuspected", "WorkerExited", …
  std::string message;  ///< "rank 3, generation 2: Stopped: stopped by a signal in …"
  bool operator==(const WorkerEvent&) const = default;
};

/// Of each worker whose state or cause is another than in the report before, and no good one.
std::vector<WorkerEvent> events_between(const decide::recovery::PodReport& before,
                                        const decide::recovery::PodReport& now);

}  // namespace pelton::agent
