// SPDX-License-Identifier: Apache-2.0
// Gathers what pod_inputs.h works on: reads the objects that a pod refers to.
#pragma once
#include <functional>

#include "agent/agent_context.h"
#include "agent/pod_inputs.h"
#include "agent/pod_record.h"

namespace pelton::agent {

/// `done` comes once, later; the caller sees to it that it is still wanted. An object that does not
/// exist is left out; any other failure is the answer.
void fetch_pod_inputs(AgentContext& context, const PodRecord& record,
                      std::function<void(base::Result<PodInputs>)> done);

}  // namespace pelton::agent
