// SPDX-License-Identifier: Apache-2.0
#include "decide/goodput/step_log.h"

#include <algorithm>
#include <cmath>

namespace pelton::decide::goodput {
namespace {

using base::Duration;
using base::Instant;

Duration part_of(Duration whole, int64_t steps, int64_t of) {
  return Duration::nanoseconds(std::llround(static_cast<double>(whole.ns()) *
                                            static_cast<double>(steps) / static_cast<double>(of)));
}

}  // namespace

void StepLog::job_started(Instant at) {
  starts_.push_back({at, {}, {}});
}

void StepLog::step_began(int64_t step, Instant at) {
  // A script may take up an earlier step without starting anew.
  if (starts_.empty() ||
      (!starts_.back().steps.empty() && starts_.back().steps.back().number >= step)) {
    job_started(at);
  }
  starts_.back().steps.push_back({step, at});
}

void StepLog::generation_ended(Instant at) {
  if (!starts_.empty() && !starts_.back().ended) starts_.back().ended = at;
}

void StepLog::job_ended(Instant at) {
  ended_ = at;
}

void StepLog::width_is(int active, int full, Instant at) {
  widths_.push_back({at, active, full});
}

void StepLog::claim(Instant from, Instant to, Category category, const std::string& cause) {
  claims_.push_back({from, to, category, cause, static_cast<int64_t>(starts_.size()), 0});
}

void StepLog::add_start(const std::vector<Start>& starts, size_t index, Timeline& timeline) const {
  const Start& start = starts[index];
  const auto generation = static_cast<int64_t>(index + 1);
  const bool is_last = index + 1 == starts.size();
  const auto claim = [&](Instant from, Instant to, Category category, const char* cause = "") {
    timeline.claims.push_back({from, to, category, cause, generation, 0});
  };
  const Instant next = is_last ? timeline.to : starts[index + 1].at;
  if (start.steps.empty()) {
    const bool is_recovery = index > 0 && !is_last;
    if (is_recovery) claim(start.at, next, Category::InfrastructureRecovery, "StartFailed");
    return;
  }
  int64_t resumed = INT64_MAX;
  for (size_t later = index + 1; later < starts.size(); ++later) {
    if (!starts[later].steps.empty()) resumed = std::min(resumed, starts[later].steps[0].number);
  }
  const std::vector<Step>& steps = start.steps;
  const Step& last = steps.back();
  // What the first takes beyond the others' mean, of the steps that were kept.
  Duration rest;
  Instant rest_end;
  int64_t rest_steps = 0;
  for (size_t i = 1; i + 1 < steps.size() && steps[i + 1].number <= resumed; ++i) {
    rest = rest + (steps[i + 1].began - steps[i].began);
    rest_steps += steps[i + 1].number - steps[i].number;
    rest_end = steps[i + 1].began;
  }
  // An evaluation is no part of a usual step.
  for (const Claim& held_up : claims_) {
    const bool is_inside =
        rest_steps > 0 && held_up.from >= steps[1].began && held_up.to <= rest_end;
    if (held_up.category == Category::Custom && is_inside)
      rest = rest - (held_up.to - held_up.from);
  }
  for (size_t i = 0; i + 1 < steps.size(); ++i) {
    const Instant from = steps[i].began, to = steps[i + 1].began;
    const int64_t made = steps[i + 1].number - steps[i].number;
    const int64_t kept = std::clamp<int64_t>(resumed - steps[i].number, 0, made);
    const Instant cut = kept == made ? to : from + part_of(to - from, kept, made);
    Instant productive_from = from;
    if (i == 0 && kept == made && rest_steps > 0) {
      const Duration usual = part_of(rest, made, rest_steps);
      productive_from = std::max(from, to - usual);
      claim(from, productive_from, Category::ProgramStartup);
    }
    claim(productive_from, cut, Category::Productive);
    claim(cut, to, Category::WastedProgress);
  }
  Instant down = last.began;
  if (is_last) {
    down = timeline.to;
    claim(last.began, down, ended_ ? Category::Productive : Category::Other,
          ended_ ? "" : "StepInProgress");
  } else {
    if (start.ended) {
      down = std::clamp(*start.ended, last.began, std::max(last.began, next));
      claim(last.began, down, Category::WastedProgress);
    }
    claim(down, next, Category::InfrastructureRecovery);
  }
  timeline.placed.push_back(
      {start.at, std::max(start.at, down), Category::Other, "", generation, 0});
  timeline.runs.push_back({steps[0].began, std::max(steps[0].began, down), generation, !is_last});
}

/// Cuts the claims where the width changes.
void StepLog::add_widths(Timeline& timeline) const {
  if (widths_.empty()) return;
  std::vector<Width> widths = widths_;
  std::stable_sort(widths.begin(), widths.end(),
                   [](const Width& a, const Width& b) { return a.at < b.at; });
  for (const Width& width : widths) timeline.full_width = std::max(timeline.full_width, width.full);
  std::vector<Claim> cut;
  for (Claim claim : timeline.claims) {
    for (const Width& width : widths) {
      if (width.at <= claim.from) claim.width = width.active;
      if (width.at <= claim.from || width.at >= claim.to) continue;
      Claim before = claim;
      before.to = claim.from = width.at;
      claim.width = width.active;
      cut.push_back(std::move(before));
    }
    cut.push_back(std::move(claim));
  }
  timeline.claims = std::move(cut);
}

base::Result<Timeline> StepLog::timeline(Instant now) const {
  if (starts_.empty()) {
    return base::invalid_argument(
        "no event says that the job started: a line with \"job_start_time\" "
        "(ml-goodput-measurement) or \"event_type\": \"job_started\" (resiliency) is needed");
  }
  std::vector<Start> starts = starts_;
  std::stable_sort(starts.begin(), starts.end(),
                   [](const Start& a, const Start& b) { return a.at < b.at; });
  Timeline timeline;
  timeline.started = starts[0].at;
  timeline.from = scheduled_ ? std::min(*scheduled_, timeline.started) : timeline.started;
  timeline.is_over = ended_ || known_until_;
  timeline.to = std::max(timeline.started, ended_ ? *ended_ : known_until_ ? *known_until_ : now);
  timeline.claims = claims_;
  timeline.claims.push_back({timeline.from, timeline.started, Category::Other, "Scheduling", 0, 0});
  for (size_t i = 0; i < starts.size(); ++i) add_start(starts, i, timeline);
  add_widths(timeline);
  for (Run& run : timeline.runs) {
    run.to = std::clamp(run.to, timeline.from, timeline.to);
    run.from = std::clamp(run.from, timeline.from, run.to);
  }
  for (Claim& placed : timeline.placed) {
    placed.to = std::clamp(placed.to, timeline.from, timeline.to);
    placed.from = std::clamp(placed.from, timeline.from, placed.to);
  }
  return timeline;
}

}  // namespace pelton::decide::goodput
