// SPDX-License-Identifier: Apache-2.0
// `pelton explain job NAME`: what a job's RecoveryPolicy says of it.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace pelton::cli {

/// What is known of one job, as one document: the entry of the policy's status, and each member's
/// ranks and what its supervisor says. NotFound, and where the JobSet names no policy, with what to
/// do. The lists hold whole objects.
base::Result<base::Json> explain_job(const base::Json::Array& jobsets,
                                     const base::Json::Array& policies,
                                     const base::Json::Array& pods,
                                     const std::string& namespace_name, const std::string& name);
/// The same for people, in lines.
std::string job_text(const base::Json& explanation);

}  // namespace pelton::cli
