// SPDX-License-Identifier: Apache-2.0
#include "scenario/fault_study.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "decide/checkpoint/interval.h"
#include "decide/recovery/records.h"
#include "scenario/job_file.h"

namespace pelton::scenario {
namespace {

using base::Duration;
using decide::recovery::Rung;

constexpr double kSecondsPerDay = 86'400;

Duration seconds(double value) {
  return Duration::nanoseconds(static_cast<int64_t>(std::llround(value * 1e9)));
}

class Study {
 public:
  Study(const StudyOptions& options, double failures_per_node_day)
      : o_(options), node_rate_(failures_per_node_day) {}

  JobModel whole(bool tells_all) const {
    JobModel model = common(o_.spares);
    const double told = tells_all ? o_.nodes : 1;
    const Duration telling = seconds(o_.nodes * told * o_.bytes_per_member / o_.server_rate);
    const Duration warm = o_.warm.at(o_.nodes) + telling;
    model.costs = {.in_place = warm,
                   .pod_restart = o_.cold.at(o_.nodes) + telling,
                   .swap = warm + seconds(o_.state_bytes / o_.peer_rate),
                   .shrink = warm,
                   .grow = warm};
    model.detect_node = seconds(o_.detect_node);
    model.detect_worker = seconds(o_.detect_worker);
    with_memory(model, node_rate_ + o_.worker_exits);
    with_durable(model, 0);
    return model;
  }

  JobModel plain() const {
    JobModel model = common(o_.spares);
    model.is_plain = true;
    model.costs.pod_restart = o_.cold.at(o_.nodes);
    model.detect_node = seconds(o_.plain_detect_node);
    model.detect_worker = seconds(o_.detect_worker);
    model.durable = {.every = seconds(o_.plain_every),
                     .stall = seconds(o_.plain_stall),
                     .restore = seconds(o_.durable_seconds)};
    return model;
  }

  JobModel without_spares() const {
    JobModel model = whole(false);
    model.policy = common(0).policy;
    return model;
  }

  JobModel without_memory() const {
    JobModel model = whole(false);
    model.memory = {};
    with_durable(model, node_rate_ + o_.worker_exits);
    return model;
  }

 private:
  JobModel common(double spares) const {
    JobModel model;
    model.nodes = o_.nodes;
    model.policy.ranks_per_replica = o_.nodes_per_replica;
    const int kept_out = static_cast<int>(std::ceil(spares * o_.nodes));
    // Whole replicas: what does not make one is spare, too.
    model.policy.spares = kept_out + (o_.nodes - kept_out) % o_.nodes_per_replica;
    const int replicas = (o_.nodes - model.policy.spares) / o_.nodes_per_replica;
    model.policy.min_replicas = std::max(1, replicas / 2);
    model.step = Duration::seconds(10);
    model.start = o_.cold.at(o_.nodes);
    model.max_restarts = 1'000'000;
    model.wall = seconds(o_.days * kSecondsPerDay);
    return model;
  }

  /// Each step if that is worth it: by Daly's interval, for failures that the memory survives.
  void with_memory(JobModel& model, double rate) const {
    const Duration stall = seconds(o_.state_bytes / o_.save_rate);
    model.memory = {.every = interval(stall, Duration(), rate),
                    .stall = stall,
                    .restore = seconds(o_.state_bytes / o_.memory_rate)};
  }

  /// As often as it can be drained, where it costs no stall of its own.
  void with_durable(JobModel& model, double rate) const {
    const Duration drain = seconds(o_.durable_seconds);
    const Duration stall = rate > 0 ? seconds(o_.state_bytes / o_.save_rate) : Duration();
    model.durable = {
        .every = rate > 0 ? interval(stall, drain, rate) : drain, .stall = stall, .restore = drain};
  }

  Duration interval(Duration stall, Duration drain, double rate) const {
    const Duration between = seconds(kSecondsPerDay / (rate * o_.nodes));
    return std::max(decide::checkpoint::decide_interval({stall, drain}, between),
                    Duration::seconds(1));
  }

  const StudyOptions& o_;
  const double node_rate_;
};

JobModel less(JobModel model, std::initializer_list<Rung> rungs) {
  for (const Rung rung : rungs) model.policy.rungs.erase(rung);
  return model;
}

}  // namespace

Duration LogLaw::at(int n) const {
  return seconds(base + slope * std::log2(std::max(n, 1)));
}

double record_bytes_per_member() {
  decide::recovery::Generation generation;
  generation.job_uid = "6f24e2b2-5b9b-4f8a-82ec-d7d57d7c6758";
  const size_t before = decide::recovery::to_json(generation).dump().size();
  constexpr int kMembers = 1000;
  for (int i = 0; i < kMembers; ++i) {
    const std::string pod = fmt::format("train-workers-0-{}-x7k2p", 10'000 + i);
    generation.members.push_back({pod, generation.job_uid,
                                  fmt::format("gke-pool-a3-{}", 10'000 + i),
                                  fmt::format("10.128.{}.{}", 100 + i / 256, i % 256), 8});
  }
  const size_t after = decide::recovery::to_json(generation).dump().size();
  return static_cast<double>(after - before) / kMembers;
}

std::vector<StudyRow> study_rows(const StudyOptions& options, double failures_per_node_day) {
  const Study study(options, failures_per_node_day);
  const JobModel all = study.whole(false);
  const auto narrow = {Rung::Shrink, Rung::ChangeMesh, Rung::Grow};
  JobModel no_peers = all;
  no_peers.has_peers = false;
  return {{"restart of everything, a checkpoint every 30 min", study.plain()},
          {"all rungs, as it is: each node is told the whole record", study.whole(true)},
          {"all rungs, each node told its own place", all},
          {"- in place", less(all, {Rung::RestartInPlace})},
          {"- spares (all nodes train)", study.without_spares()},
          {"- shrink and grow", less(all, narrow)},
          {"- spares, shrink and grow: waits", less(study.without_spares(), narrow)},
          {"- copies on peers", no_peers},
          {"- memory tiers: the durable one only", study.without_memory()}};
}

base::Json to_json(const StudyRow& row, const JobResult& result) {
  base::Json json = to_json(result);
  json.set("name", row.name);
  json.set("nodes", row.model.nodes);
  json.set("spares", row.model.policy.spares);
  const int width = row.model.nodes - row.model.policy.spares;
  json.set("ofAllNodes", result.accelerator_goodput * width / row.model.nodes);
  const RungCosts& costs = row.model.costs;
  json.set("costs", base::Json::object({{"inPlace", costs.in_place.to_seconds()},
                                        {"podRestart", costs.pod_restart.to_seconds()},
                                        {"swap", costs.swap.to_seconds()},
                                        {"shrink", costs.shrink.to_seconds()},
                                        {"grow", costs.grow.to_seconds()}}));
  json.set("memoryEverySeconds", row.model.memory.every.to_seconds());
  json.set("durableEverySeconds", row.model.durable.every.to_seconds());
  return json;
}

}  // namespace pelton::scenario
