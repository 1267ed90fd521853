// SPDX-License-Identifier: Apache-2.0
// What is kept of generations that a record does not list any more: a RecoveryPolicy's status keeps
// the last 50 entries of a job and the sums of all before, so that totals stay what they would be.
//
// The sums are those of history.h's reading, by category, cause and width, and of the runs. What
// came after decides about them no further than the entries that were listed when they were folded.
#pragma once
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "decide/goodput/category.h"

namespace pelton::decide::goodput {

/// Upper bounds in seconds, as Prometheus' histograms have them: from a fork to an hour, and from a
/// minute to a month.
const std::vector<double>& recover_bounds();
const std::vector<double>& between_bounds();

/// Times of which only these are kept.
struct TimeSums {
  int64_t count = 0;
  base::Duration sum;
  std::vector<int64_t> below;  ///< by bound: how many are no longer; empty where count is 0
  bool operator==(const TimeSums&) const = default;

  void add(base::Duration time, const std::vector<double>& bounds);
};

struct Folded {
  struct Kind {
    Category category = Category::Other;
    std::string cause;
    int width = 0;
    auto operator<=>(const Kind&) const = default;
  };
  int64_t generations = 0;  ///< 0: none
  base::Instant to;         ///< until then all is accounted for
  std::map<Kind, base::Duration> times;
  base::Duration placed;
  base::Duration uptime;
  base::Duration up;                        ///< of it, since the last interruption
  std::optional<base::Instant> down_since;  ///< interrupted, and no step since
  TimeSums recoveries, betweens;
  std::map<std::string, int64_t> interruptions;  ///< by cause
  /// By rung, and by the cause of the failure that ended the one before.
  std::map<std::pair<std::string, std::string>, int64_t> begun;
  // What the next entry is read by.
  std::string cause;                            ///< that ended the last one
  int width = 0;                                ///< of the last that did not wait
  std::map<int, base::Duration> step_by_width;  ///< mean, of the newest of that width
  bool operator==(const Folded&) const = default;

  int64_t interruption_count() const;
};

base::Json to_json(const Folded& folded);
/// Absent: it is none. What cannot be read is left out, as in the rest of the record.
std::optional<Folded> folded_of(const base::Json& json);

/// Adds the oldest entry of a record's `history` (the JSON of all that are listed, which came after
/// what is folded already).
void fold_oldest(Folded& folded, const base::Json& history);

}  // namespace pelton::decide::goodput
