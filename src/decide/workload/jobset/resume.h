// SPDX-License-Identifier: Apache-2.0
// Resuming one suspended Job of a JobSet. Pure.
#pragma once
#include "base/json.h"
#include "decide/workload/decision.h"

namespace pelton::decide::workload {

/// Two steps, each its own decision: a startTime of an earlier life is cleared first; then one
/// update sets suspend to false and merges `pod_template`'s labels, annotations and nodeSelector
/// (the template wins) and unites tolerations and scheduling gates.
void resume_job(const base::Json& job, const base::Json& pod_template, Decision& out);

}  // namespace pelton::decide::workload
