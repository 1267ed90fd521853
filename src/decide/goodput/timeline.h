// SPDX-License-Identifier: Apache-2.0
// A job's life on one clock: who claims which time, and who gets it.
//
// Sources (history.h, event_log.h) state claims, which may overlap and leave gaps; partition()
// gives every nanosecond between the first and the last instant to exactly one category.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "decide/goodput/category.h"
#include "decide/goodput/folded.h"

namespace pelton::decide::goodput {

/// [from, to) is this category's, as far as none of higher precedence claims it.
struct Claim {
  base::Instant from, to;
  Category category = Category::Other;
  std::string cause;       ///< one word, or empty: "SIGKILL", "Scheduling", "eval"
  int64_t generation = 0;  ///< 0: before the first, or not known
  int width = 0;           ///< ranks that trained; 0: not known, or none
  bool operator==(const Claim&) const = default;
};
using Segment = Claim;  ///< a claim that was granted

/// A time in which the job was up: from the beginning of the first step of a generation to its end.
struct Run {
  base::Instant from, to;
  int64_t generation = 0;
  bool is_interrupted = false;  ///< a failure ended it; else a plan, or it goes on, or it is done
  std::string cause;            ///< of the interruption: "SIGKILL"
  int rank = -1;
  std::string node;
  bool operator==(const Run&) const = default;
};

/// What is known of a job. All claims and runs lie within [from, to].
struct Timeline {
  base::Instant from;     ///< when it was asked for
  base::Instant started;  ///< when its first generation began
  base::Instant to;       ///< when it ended, or now
  bool is_over = false;
  int full_width = 0;  ///< ranks that it asks for; 0: not known
  std::vector<Claim> claims;
  std::vector<Run> runs;  ///< in time
  /// A placed stretch, at full width: of these scheduling goodput is made.
  std::vector<Claim> placed;
  /// Runs, interruptions and placed stretches before those; its times stand among the claims.
  std::optional<Folded> before = {};
};

/// Segments from `from` to `to` without gap or overlap, neighbours of one kind joined. What nobody
/// claims is Other. Among claims of one category the one that is named first has it.
std::vector<Segment> partition(base::Instant from, base::Instant to,
                               const std::vector<Claim>& claims);

}  // namespace pelton::decide::goodput
