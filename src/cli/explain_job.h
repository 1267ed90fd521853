// SPDX-License-Identifier: Apache-2.0
// `pelton explain job NAME`: what a job's RecoveryPolicy says of it.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "base/time.h"

namespace pelton::cli {

/// All objects of the kinds that the decision rests on.
struct JobObjects {
  base::Json::Array jobsets, policies, pods, nodes;
};

/// What is known of one job, as one document: the entry of the policy's status, each member's ranks
/// and what its supervisor says, and (waitsFor) what the job waits for: the controller's own
/// decision is made once more. NotFound, and where the JobSet names no policy, with what to do.
base::Result<base::Json> explain_job(const JobObjects& objects, const std::string& namespace_name,
                                     const std::string& name, base::Instant now);
/// The same for people, in lines.
std::string job_text(const base::Json& explanation);

}  // namespace pelton::cli
