// SPDX-License-Identifier: Apache-2.0
// A job's timeline from what its RecoveryPolicy's status keeps: one entry per generation.
//
// How an entry's time is read, in order:
//   began … first step       what `phaseSeconds` says of start, restore and compile, at its end;
//   the
//                            rest is the starting itself: TPU_INITIALIZATION in the first
//                            generation, INFRASTRUCTURE_RECOVERY after a failure,
//                            ELASTIC_REINITIALIZATION (also start and compile) where the width is
//                            another than before
//   first step … last step   save, eval and data by their seconds, the rest Productive; the steps
//   that
//                            a later generation did again, the last of them, are WASTED_PROGRESS
//   last step … failure      a step that was lost with it: WASTED_PROGRESS
//   failure … next began     INFRASTRUCTURE_RECOVERY; without a failure, where the next one is
//   wider,
//                            ELASTIC_SCALE_UP
//   a generation that waits  ELASTIC_SLICE_DOWN
// Before the first generation: OTHER, cause "Scheduling". An entry tells how long saves took, not
// when: within its steps they are drawn evenly. A step's length is the mean of its generation; that
// of the first step the mean of the generation of the same width before it. Of entries that were
// folded only sums are known: within their time they are drawn evenly.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "decide/goodput/folded.h"
#include "decide/goodput/timeline.h"
#include "decide/recovery/records.h"

namespace pelton::decide::goodput {

/// One generation, past or present.
struct Entry {
  int64_t number = 0;
  recovery::Generation::Phase phase = recovery::Generation::Phase::Running;
  base::Instant began;
  base::Instant ended;  ///< Instant(): it goes on
  int width = 0;        ///< ranks
  int full_width = 0;   ///< ranks that the job asks for
  std::string cause;    ///< of the failure that ended it; empty: none did
  int rank = -1;
  std::string node;
  base::Instant failed_at;
  int64_t first_step = -1, last_step = -1;
  base::Instant first_step_at, last_step_at;  ///< when they ended
  std::map<std::string, double> phase_seconds;
  std::optional<Folded> folded = {};  ///< this stands for all that it sums up
};

/// Entries of `record`, a member of the status's jobSets[], oldest first; the present generation is
/// the last, told by `reports` of the job's pods. Fields that are not there stay empty.
std::vector<Entry> entries_of(const base::Json& record,
                              const std::vector<recovery::PodReport>& reports);

/// `created`: when the JobSet was made. Instants that contradict each other (clocks of two
/// machines) are moved into order. FailedPrecondition where no generation has begun.
base::Result<Timeline> timeline_of(const std::vector<Entry>& entries, base::Instant created,
                                   base::Instant now);

/// Of the oldest entry alone, until the next began, after what `before` sums up; sets what the
/// entry after it is read by.
Timeline timeline_of_oldest(const std::vector<Entry>& entries, Folded& before);

}  // namespace pelton::decide::goodput
