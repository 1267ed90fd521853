// SPDX-License-Identifier: Apache-2.0
// What a scenario's user submits, drawn from the seed. Pure.
#pragma once
#include <vector>

#include "base/json.h"
#include "base/rng.h"
#include "scenario/simulated_kubelet.h"
#include "scenario/spec.h"

namespace pelton::scenario {

struct WorkloadItem {
  base::Json jobset;
  base::Json policy;  ///< null, or its RecoveryPolicy
  base::Duration arrival;
};

/// All JobSets of the scenario, named after their place in the file.
std::vector<WorkloadItem> make_workload(const Spec& spec, base::Rng& rng);

/// A Job of its own whose pods are like those of the first entry; it may run many at once.
base::Json make_job(const Spec& spec, const std::string& name, int64_t parallelism);

/// What the workers of such a pod train; nullptr where it is none of a training job.
const TrainingSpec* training_of(const Spec& spec, const base::Json& pod);

/// How long the pod of such a JobSet works and how it ends.
PodBehaviour draw_behaviour(const Spec& spec, const base::Json& pod, base::Rng rng);

}  // namespace pelton::scenario
