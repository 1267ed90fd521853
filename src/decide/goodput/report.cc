// SPDX-License-Identifier: Apache-2.0
#include "decide/goodput/report.h"

#include <algorithm>

namespace pelton::decide::goodput {
namespace {

using base::Duration;
using base::Json;

std::optional<Duration> mean_of(const std::vector<Duration>& times, const TimeSums& before) {
  const int64_t count = before.count + static_cast<int64_t>(times.size());
  if (count == 0) return std::nullopt;
  Duration sum = before.sum;
  for (const Duration time : times) sum = sum + time;
  return sum / count;
}

double share_of(double part, Duration whole) {
  return whole > Duration() ? part / static_cast<double>(whole.ns()) : 0;
}

void account_runs(const Timeline& timeline, Report& report) {
  if (timeline.before) report.before = *timeline.before;
  const Folded& before = report.before;
  report.uptime = before.uptime;
  Duration up = before.up;  // since the last interruption
  if (before.down_since && !timeline.runs.empty()) {
    report.times_to_recover.push_back(timeline.runs.front().from - *before.down_since);
  }
  for (size_t i = 0; i < timeline.runs.size(); ++i) {
    const Run& run = timeline.runs[i];
    up = up + (run.to - run.from);
    report.uptime = report.uptime + (run.to - run.from);
    if (!run.is_interrupted) continue;
    report.times_between_interruptions.push_back(up);
    up = Duration();
    Interruption interruption{run.to, std::nullopt, run.generation, run.cause, run.rank, run.node};
    if (i + 1 < timeline.runs.size()) {
      interruption.recovery = timeline.runs[i + 1].from - run.to;
      report.times_to_recover.push_back(*interruption.recovery);
    }
    report.interruptions.push_back(std::move(interruption));
  }
  report.interruption_count =
      before.interruption_count() + static_cast<int64_t>(report.interruptions.size());
  report.mttr = mean_of(report.times_to_recover, before.recoveries);
  report.mtbi = mean_of(report.times_between_interruptions, before.betweens);
}

Json seconds_of(const std::vector<Duration>& times) {
  Json::Array list;
  for (const Duration time : times) list.push_back(time.to_seconds());
  return Json(std::move(list));
}

Json optional_seconds(const std::optional<Duration>& time) {
  return time ? Json(time->to_seconds()) : Json();
}

Json breakdown_json(const Report& report) {
  Json::Array list;
  for (const auto& [category, causes] : report.breakdown) {
    const Duration time = report.time_of(category);
    Json by_cause = Json::object();
    for (const auto& [cause, part] : causes) by_cause.set(cause, part.to_seconds());
    list.push_back(
        Json::object({{"category", category_name(category)},
                      {"nanoseconds", time.ns()},
                      {"seconds", time.to_seconds()},
                      {"percent", 100 * share_of(static_cast<double>(time.ns()), report.wall())},
                      {"causes", std::move(by_cause)}}));
  }
  return Json(std::move(list));
}

Json segments_json(const Report& report) {
  Json::Array list;
  for (const Segment& segment : report.segments) {
    Json json = Json::object({{"from", base::format_micro_time(segment.from)},
                              {"to", base::format_micro_time(segment.to)},
                              {"category", category_name(segment.category)}});
    if (!segment.cause.empty()) json.set("cause", segment.cause);
    if (segment.generation > 0) json.set("generation", segment.generation);
    if (segment.width > 0) json.set("width", segment.width);
    list.push_back(std::move(json));
  }
  return Json(std::move(list));
}

Json interruptions_json(const Report& report) {
  Json::Array list;
  for (const Interruption& interruption : report.interruptions) {
    Json json = Json::object({{"at", base::format_micro_time(interruption.at)},
                              {"cause", interruption.cause},
                              {"recoverySeconds", optional_seconds(interruption.recovery)}});
    if (interruption.generation > 0) json.set("generation", interruption.generation);
    if (interruption.rank >= 0) json.set("rank", interruption.rank);
    if (!interruption.node.empty()) json.set("node", interruption.node);
    list.push_back(std::move(json));
  }
  return Json(std::move(list));
}

}  // namespace

Duration Report::time_of(Category category) const {
  Duration sum;
  const auto found = breakdown.find(category);
  if (found == breakdown.end()) return sum;
  for (const auto& [cause, time] : found->second) sum = sum + time;
  return sum;
}

Report account(const Timeline& timeline) {
  Report report;
  report.from = timeline.from;
  report.started = timeline.started;
  report.to = timeline.to;
  report.is_over = timeline.is_over;
  report.full_width = timeline.full_width;
  report.segments = partition(timeline.from, timeline.to, timeline.claims);
  double accelerators = 0;
  for (const Segment& segment : report.segments) {
    Duration& time = report.breakdown[segment.category][segment.cause];
    const Duration length = segment.to - segment.from;
    time = time + length;
    if (segment.category != Category::Productive) continue;
    report.productive = report.productive + length;
    const bool is_counted = segment.width > 0 && timeline.full_width > 0;
    const double width = is_counted ? static_cast<double>(segment.width) / timeline.full_width : 1;
    accelerators += static_cast<double>(length.ns()) * std::min(1.0, width);
  }
  const auto productive = static_cast<double>(report.productive.ns());
  report.goodput = share_of(productive, timeline.to - timeline.started);
  report.accelerator_goodput = share_of(accelerators, timeline.to - timeline.started);
  report.ettr = share_of(productive, timeline.to - timeline.from);
  Duration placed = timeline.before ? timeline.before->placed : Duration();
  for (const Claim& claim : timeline.placed) placed = placed + (claim.to - claim.from);
  report.scheduling_goodput =
      share_of(static_cast<double>(placed.ns()), timeline.to - timeline.from);
  account_runs(timeline, report);
  return report;
}

Json to_json(const Report& report) {
  return Json::object(
      {{"from", base::format_micro_time(report.from)},
       {"started", base::format_micro_time(report.started)},
       {"to", base::format_micro_time(report.to)},
       {"over", report.is_over},
       {"fullWidth", report.full_width},
       {"wallNanoseconds", report.wall().ns()},
       {"wallSeconds", report.wall().to_seconds()},
       {"productiveSeconds", report.productive.to_seconds()},
       {"goodputPercent", 100 * report.goodput},
       {"acceleratorGoodputPercent", 100 * report.accelerator_goodput},
       {"ettrPercent", 100 * report.ettr},
       {"schedulingGoodputPercent", 100 * report.scheduling_goodput},
       {"uptimeSeconds", report.uptime.to_seconds()},
       {"mttrSeconds", optional_seconds(report.mttr)},
       {"mtbiSeconds", optional_seconds(report.mtbi)},
       {"timesToRecoverSeconds", seconds_of(report.times_to_recover)},
       {"timesBetweenInterruptionsSeconds", seconds_of(report.times_between_interruptions)},
       {"interruptionCount", report.interruption_count},
       {"interruptions", interruptions_json(report)},
       {"breakdown", breakdown_json(report)},
       {"segments", segments_json(report)}});
}

}  // namespace pelton::decide::goodput
