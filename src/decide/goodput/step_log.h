// SPDX-License-Identifier: Apache-2.0
// Makes a timeline of what a log tells in order: starts, steps, stretches of time.
//
// A step lasts until the next one begins. It is kept unless a later start takes up the count at its
// number or before. What the first step of a start takes beyond the mean of the others is
// PROGRAM_STARTUP; from the last step that began until the next start is the recovery, because a
// log does not say when it failed.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "decide/goodput/timeline.h"

namespace pelton::decide::goodput {

class StepLog {
 public:
  void scheduled(base::Instant at) { scheduled_ = at; }
  void job_started(base::Instant at);
  void step_began(int64_t step, base::Instant at);
  /// Of what is running now; the job may start again.
  void generation_ended(base::Instant at);
  void job_ended(base::Instant at);
  /// Nothing is known of the job behind this.
  void log_ended(base::Instant at) { known_until_ = at; }
  void width_is(int active, int full, base::Instant at);
  void claim(base::Instant from, base::Instant to, Category category, const std::string& cause);
  /// Whether no step was begun since the last start.
  bool is_before_steps() const { return starts_.empty() || starts_.back().steps.empty(); }

  /// `now` ends what has no end. InvalidArgument where no job was started.
  base::Result<Timeline> timeline(base::Instant now) const;

 private:
  struct Step {
    int64_t number;
    base::Instant began;
  };
  struct Start {
    base::Instant at;
    std::vector<Step> steps;
    std::optional<base::Instant> ended;
  };
  struct Width {
    base::Instant at;
    int active, full;
  };
  void add_start(const std::vector<Start>& starts, size_t index, Timeline& timeline) const;
  void add_widths(Timeline& timeline) const;

  std::optional<base::Instant> scheduled_, ended_, known_until_;
  std::vector<Start> starts_;
  std::vector<Claim> claims_;
  std::vector<Width> widths_;
};

}  // namespace pelton::decide::goodput
