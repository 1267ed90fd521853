// SPDX-License-Identifier: Apache-2.0
// A job's timeline from a log of events, one JSON object a line, of either of two forms:
//
// 1. ml-goodput-measurement's entries ("job_start_time", "step_count" with "step_start_time",
//    "tpu_init_start_time", "custom_badput_event_type", "elastic_wait_start_time", …; times in
//    seconds since 1970), and Orbax's ("event_type" save or restore with their durations).
// 2. AI-Hypercomputer/resiliency's ("event_type" user_scheduled, job_started, checkpoint_loaded,
//    checkpoint_saved, job_terminated, user_terminated, with "timestamp"): progress is known from
//    checkpoint to checkpoint only.
//
// Where ours counts otherwise than ml-goodput-measurement 0.2.3 (tests/oracle/goodput.py compares):
//   - each instant is counted once; it counts a save in a wasted step, a restore in the
//   preparation,
//     an elastic wait in a recovery, and the data that a restart loads, twice
//   - steps that a restart at step 0 threw away are wasted; it says OTHER
//   - a restart that repeats no step is a disruption; it takes the time between for productive
//   - a restart at a step before that of an earlier restart throws away what was kept then
//   - an event of the script's own counts wherever it lies; it looks within kept steps only
#pragma once
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "decide/goodput/timeline.h"

namespace pelton::decide::goodput {

/// `now` ends a job whose log has no end. Lines that are no JSON object, and entries of kinds that
/// are not known, are left out. InvalidArgument: the log has no start of a job, or mixes names of
/// jobs.
base::Result<Timeline> timeline_of_log(std::string_view text, base::Instant now);

}  // namespace pelton::decide::goodput
