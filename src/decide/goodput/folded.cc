// SPDX-License-Identifier: Apache-2.0
#include "decide/goodput/folded.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "decide/goodput/history.h"

namespace pelton::decide::goodput {
namespace {

using base::Duration;
using base::Instant;
using base::Json;

Json to_json(const TimeSums& times) {
  Json::Array below;
  for (const int64_t count : times.below) below.push_back(count);
  return Json::object(
      {{"count", times.count}, {"nanoseconds", times.sum.ns()}, {"below", std::move(below)}});
}

TimeSums times_of(const Json& json, const std::vector<double>& bounds) {
  TimeSums times{json["count"].as_int(), Duration::nanoseconds(json["nanoseconds"].as_int()), {}};
  for (const Json& each : json["below"].items()) times.below.push_back(each.as_int());
  if (times.count > 0) times.below.resize(bounds.size());
  return times;
}

Instant instant_of(const Json& json) {
  const auto time = base::parse_time(json.as_string());
  return time.ok() ? *time : Instant();
}

void add_runs(Folded& folded, const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    if (folded.down_since) {
      folded.recoveries.add(run.from - *std::exchange(folded.down_since, std::nullopt),
                            recover_bounds());
    }
    folded.uptime = folded.uptime + (run.to - run.from);
    folded.up = folded.up + (run.to - run.from);
    if (!run.is_interrupted) continue;
    folded.betweens.add(std::exchange(folded.up, Duration()), between_bounds());
    ++folded.interruptions[run.cause];
    folded.down_since = run.to;
  }
}

}  // namespace

const std::vector<double>& recover_bounds() {
  static const std::vector<double> bounds = {0.1, 0.25, 0.5, 1,   2.5,  5,   10,
                                             30,  60,   300, 600, 1800, 3600};
  return bounds;
}

const std::vector<double>& between_bounds() {
  static const std::vector<double> bounds = {60,    300,   900,    3600,   14400,
                                             43200, 86400, 259200, 604800, 2592000};
  return bounds;
}

void TimeSums::add(Duration time, const std::vector<double>& bounds) {
  ++count;
  sum = sum + time;
  below.resize(bounds.size());
  for (size_t i = 0; i < bounds.size(); ++i) below[i] += time.to_seconds() <= bounds[i] ? 1 : 0;
}

int64_t Folded::interruption_count() const {
  int64_t count = 0;
  for (const auto& [cause, each] : interruptions) count += each;
  return count;
}

Json to_json(const Folded& folded) {
  Json::Array times;
  for (const auto& [kind, time] : folded.times) {
    times.push_back(Json::object({{"category", category_name(kind.category)},
                                  {"cause", kind.cause},
                                  {"width", kind.width},
                                  {"nanoseconds", time.ns()}}));
  }
  Json interruptions = Json::object(), steps = Json::object();
  for (const auto& [cause, count] : folded.interruptions) interruptions.set(cause, count);
  for (const auto& [width, time] : folded.step_by_width)
    steps.set(std::to_string(width), time.ns());
  Json::Array begun;
  for (const auto& [why, count] : folded.begun) {
    begun.push_back(Json::object({{"rung", why.first}, {"cause", why.second}, {"count", count}}));
  }
  Json json = Json::object({{"generations", folded.generations},
                            {"to", base::format_micro_time(folded.to)},
                            {"times", std::move(times)},
                            {"placedNanoseconds", folded.placed.ns()},
                            {"uptimeNanoseconds", folded.uptime.ns()},
                            {"upNanoseconds", folded.up.ns()},
                            {"recoveries", to_json(folded.recoveries)},
                            {"betweens", to_json(folded.betweens)},
                            {"interruptions", std::move(interruptions)},
                            {"begun", std::move(begun)},
                            {"cause", folded.cause},
                            {"width", folded.width},
                            {"stepNanoseconds", std::move(steps)}});
  // To the nanosecond: a first step is put so far before its end as others took on the mean.
  if (folded.down_since) {
    json.set("downForNanoseconds", (folded.to - *folded.down_since).ns());
  }
  return json;
}

std::optional<Folded> folded_of(const Json& json) {
  Folded folded;
  folded.generations = json["generations"].as_int();
  folded.to = instant_of(json["to"]);
  if (folded.generations < 1 || folded.to == Instant()) return std::nullopt;
  for (const Json& each : json["times"].items()) {
    const auto category = category_of(each["category"].as_string());
    if (!category) continue;
    folded.times[{*category, each["cause"].as_string(), static_cast<int>(each["width"].as_int())}] =
        Duration::nanoseconds(each["nanoseconds"].as_int());
  }
  folded.placed = Duration::nanoseconds(json["placedNanoseconds"].as_int());
  folded.uptime = Duration::nanoseconds(json["uptimeNanoseconds"].as_int());
  folded.up = Duration::nanoseconds(json["upNanoseconds"].as_int());
  if (const Json& down = json["downForNanoseconds"]; !down.is_null()) {
    folded.down_since = folded.to - Duration::nanoseconds(down.as_int());
  }
  folded.recoveries = times_of(json["recoveries"], recover_bounds());
  folded.betweens = times_of(json["betweens"], between_bounds());
  for (const Json::Member& each : json["interruptions"].members()) {
    folded.interruptions[each.name] = each.value.as_int();
  }
  for (const Json& each : json["begun"].items()) {
    folded.begun[{each["rung"].as_string(), each["cause"].as_string()}] = each["count"].as_int();
  }
  folded.cause = json["cause"].as_string();
  folded.width = static_cast<int>(json["width"].as_int());
  for (const Json::Member& each : json["stepNanoseconds"].members()) {
    const auto width = base::parse_int(each.name);
    if (!width.ok()) continue;
    folded.step_by_width[static_cast<int>(*width)] = Duration::nanoseconds(each.value.as_int());
  }
  return folded;
}

void fold_oldest(Folded& folded, const Json& history) {
  const std::vector<Entry> entries = entries_of(Json::object({{"history", history}}), {});
  if (entries.empty()) return;
  ++folded.begun[{history[0]["rung"].as_string(), folded.cause}];
  const Timeline oldest = timeline_of_oldest(entries, folded);
  for (const Segment& segment : partition(oldest.from, oldest.to, oldest.claims)) {
    Duration& time = folded.times[{segment.category, segment.cause, segment.width}];
    time = time + (segment.to - segment.from);
  }
  for (const Claim& claim : oldest.placed) folded.placed = folded.placed + (claim.to - claim.from);
  add_runs(folded, oldest.runs);
  ++folded.generations;
  folded.to = oldest.to;
}

}  // namespace pelton::decide::goodput
