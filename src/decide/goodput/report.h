// SPDX-License-Identifier: Apache-2.0
// The goodput of a job, by the definitions that others use, so that numbers can be compared:
//
//   goodput      Productive / (to − started)                      ml-goodput-measurement 0.2.3
//   ETTR         Productive / (to − from): from when it was asked for, waiting for nodes included
//                (effective training time ratio: Meta, arXiv 2410.21680; ByteRobust, arXiv
//                2509.16293)
//   accelerator goodput   ∫ Productive × width / full width / (to − started): a step on fewer ranks
//                counts for less; what that library calls slice efficiency, times goodput
//   uptime       the sum of the runs: from the first step of a generation to its end
//   times between interruptions   uptime from one interruption to the next; the first counts from
//                the first step, the last only if the job failed   (GKE's JobSet metrics)
//   times to recover   from an interruption to the beginning of the next step; the first start is
//   none,
//                and a failure before that step lengthens the same recovery   (GKE's JobSet
//                metrics)
//   MTTR, MTBI   the means of the two above
//   scheduling goodput   the share of (to − from) in which all ranks that the job asks for had a
//                place and ran (Google, ML Productivity Goodput)
//
// The sum of all categories is to − from, to the nanosecond.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "decide/goodput/timeline.h"

namespace pelton::decide::goodput {

struct Interruption {
  base::Instant at;
  std::optional<base::Duration> recovery;  ///< absent: it has not recovered
  int64_t generation = 0;                  ///< that it ended
  std::string cause;
  int rank = -1;
  std::string node;
};

struct Report {
  base::Instant from, started, to;
  bool is_over = false;
  int full_width = 0;
  std::vector<Segment> segments;
  /// Time by category and cause; categories without time are absent.
  std::map<Category, std::map<std::string, base::Duration>> breakdown;
  /// The newest, where the record lists no more; those before are in `before`, and in what follows.
  std::vector<Interruption> interruptions;
  Folded before;
  int64_t interruption_count = 0;
  std::vector<base::Duration> times_to_recover;
  std::vector<base::Duration> times_between_interruptions;
  base::Duration uptime;
  base::Duration productive;
  double goodput = 0, accelerator_goodput = 0, ettr = 0, scheduling_goodput = 0;  ///< 0 to 1
  std::optional<base::Duration> mttr, mtbi;  ///< absent: there was none

  base::Duration time_of(Category category) const;
  base::Duration wall() const { return to - from; }
};

Report account(const Timeline& timeline);

/// For programs: times in seconds, shares in percent, instants in RFC 3339; categories by their
/// names.
base::Json to_json(const Report& report);

}  // namespace pelton::decide::goodput
