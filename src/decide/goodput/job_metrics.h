// SPDX-License-Identifier: Apache-2.0
// What Prometheus is told of jobs: goodput, GKE's JobSet metrics, and how they recovered.
//
// All of it is computed from objects, whenever it is asked for: a JobSet, its entry in its
// RecoveryPolicy's status, its pods' reports. So a server that was restarted tells what its
// predecessor would have told: nothing is lost, nothing counted twice.
//
// GKE calls its JobSet metrics kubernetes.io/jobset/NAME, all of them gauges, of doubles or of
// distributions; as Prometheus has it:
//   uptime                        pelton_jobset_uptime_seconds                        gauge
//   times_to_recover              pelton_jobset_times_to_recover_seconds              histogram
//   times_between_interruptions   pelton_jobset_times_between_interruptions_seconds   histogram
//   scheduling_goodput            pelton_jobset_scheduling_goodput_ratio              gauge
// A time by category is a gauge, no counter: a failure makes wasted seconds of productive ones.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "decide/goodput/report.h"

namespace pelton::decide::goodput {

/// What a job does at the moment.
enum class JobState : uint8_t {
  Pending,     ///< no generation has begun
  Starting,    ///< the first one has not done a step
  Training,    ///< on all ranks that it asks for
  Degraded,    ///< on fewer
  Recovering,  ///< a rank has failed, or no step was done since
  Resizing,    ///< no step was done since the width was changed
  Waiting,     ///< nobody runs: there are too few pods
  Finished,
  Failed,
};
inline constexpr int kJobStates = 9;
const char* job_state_name(JobState state);  ///< "Training"

struct JobMetrics {
  std::string namespace_name;  ///< empty: of a log
  std::string name;
  std::optional<Report> report;  ///< absent: no generation has begun
  // The rest is of a JobSet only.
  std::optional<JobState> state;
  int64_t generation = 0;
  int ranks = 0;       ///< of the present generation; 0 while nobody runs
  int full_ranks = 0;  ///< that it asks for
  int spares = 0;      ///< pods that have joined and have no rank
  int64_t step = -1;   ///< the last that all ranks have done; -1: none
  /// Generations that began, by rung and by the cause of the failure that ended the one before.
  std::map<std::pair<std::string, std::string>, int64_t> generations;
};

/// Of a JobSet: `record` is its entry in the policy's status (null: none), `pods` those of the
/// JobSet.
JobMetrics observe_job(const base::Json& jobset, const base::Json& record,
                       const std::vector<const base::Json*>& pods, base::Instant now);

/// The policy's entry for this very JobSet; null where it has none.
const base::Json& record_of(const base::Json& policy, const base::Json& jobset);

/// All jobs in Prometheus' text format, version 0.0.4.
std::string exposition(const std::vector<JobMetrics>& jobs);

}  // namespace pelton::decide::goodput
