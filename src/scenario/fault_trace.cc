// SPDX-License-Identifier: Apache-2.0
#include "scenario/fault_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

namespace pelton::scenario {
namespace {

using base::Duration;
using base::Json;

constexpr double kSecondsPerDay = 86'400;

Duration days(double value) {
  return Duration::microseconds(static_cast<int64_t>(value * kSecondsPerDay * 1e6));
}

bool is_earlier(const NodeEvent& a, const NodeEvent& b) {
  return a.at < b.at;
}

}  // namespace

base::Result<FaultTrace> FaultTrace::parse(const Json& json, int nodes) {
  struct Change {
    double at;
    int by;
  };
  std::map<std::string, std::vector<Change>> changes;
  FaultTrace trace;
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string& type = json[i]["event_type"].as_string();
    const bool is_start = type == "fault_start";
    if ((!is_start && type != "fault_end") || !json[i]["event_time"].is_number()) {
      return base::invalid_argument(fmt::format(
          "[{}]: needs event_time in days, and event_type fault_start or fault_end", i));
    }
    const double at = json[i]["event_time"].as_double();
    changes[json[i]["node_id"].as_string()].push_back({at, is_start ? 1 : -1});
    trace.days_ = std::max(trace.days_, at);
  }
  if (changes.empty() || static_cast<size_t>(nodes) < changes.size()) {
    return base::invalid_argument(
        fmt::format("it names {} nodes with faults, of {}", changes.size(), nodes));
  }
  for (auto& [name, each] : changes) {
    std::stable_sort(each.begin(), each.end(), [](auto& a, auto& b) { return a.at < b.at; });
    History& history = trace.histories_.emplace_back();
    int depth = 0;  // faults may overlap
    for (const Change& change : each) {
      const int before = std::exchange(depth, std::max(depth + change.by, 0));
      if (before == 0 && depth == 1) history.emplace_back(change.at, trace.days_);
      if (before == 1 && depth == 0) history.back().second = change.at;
    }
  }
  trace.histories_.resize(static_cast<size_t>(nodes));
  return trace;
}

double FaultTrace::failures_per_node_day() const {
  size_t failures = 0;
  for (const History& history : histories_) failures += history.size();
  return static_cast<double>(failures) / (days_ * static_cast<double>(histories_.size()));
}

std::vector<NodeEvent> FaultTrace::resample(int nodes, Duration wall, base::Rng rng) const {
  std::vector<NodeEvent> events;
  const double end = wall.to_seconds() / kSecondsPerDay;
  for (int node = 0; node < nodes; ++node) {
    const History& history = histories_[rng.below(histories_.size())];
    const double begin = rng.unit() * days_;
    for (const auto& [from, to] : history) {
      for (double round = 0; round * days_ < end + days_; ++round) {
        const double down = from - begin + round * days_, up = to - begin + round * days_;
        if (up <= 0 || down >= end) continue;
        events.push_back({.at = days(std::max(down, 0.0)), .node = node});
        if (up < end) {
          events.push_back({.at = days(up), .kind = NodeEvent::Kind::Up, .node = node});
        }
      }
    }
  }
  std::stable_sort(events.begin(), events.end(), is_earlier);
  return events;
}

void add_worker_exits(double per_node_day, int nodes, Duration wall, base::Rng rng,
                      std::vector<NodeEvent>& events) {
  const double mean = kSecondsPerDay / (per_node_day * nodes);
  const size_t before = events.size();
  double at = 0;
  while (per_node_day > 0 && at < wall.to_seconds()) {
    at += -std::log(1 - rng.unit()) * mean;
    events.push_back({.at = days(at / kSecondsPerDay),
                      .kind = NodeEvent::Kind::WorkerExit,
                      .node = static_cast<int>(rng.below(static_cast<uint64_t>(nodes)))});
  }
  std::inplace_merge(events.begin(), events.begin() + static_cast<ptrdiff_t>(before), events.end(),
                     is_earlier);
}

}  // namespace pelton::scenario
