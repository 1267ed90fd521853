// SPDX-License-Identifier: Apache-2.0
// What /metrics tells of the jobs in a controllers' cache.
#pragma once
#include <string>

#include "base/status.h"
#include "base/time.h"
#include "client/cache.h"

namespace pelton::control {

/// Every JobSet that names a RecoveryPolicy, in Prometheus' text format. Unavailable until JobSets,
/// Pods and RecoveryPolicies have been listed: half a list would look like jobs that are gone.
base::Result<std::string> job_metrics(const client::Cache& view, base::Instant now);

}  // namespace pelton::control
