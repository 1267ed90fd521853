// SPDX-License-Identifier: Apache-2.0
#include "scenario/job_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/rng.h"
#include "scenario/fault_trace.h"
#include "scenario/job_file.h"

namespace pelton::scenario {
namespace {

using base::Duration;
using base::Json;
using decide::goodput::Category;
using decide::recovery::Rung;

JobResult run(const std::string& text) {
  auto file = parse_job_file(*Json::parse(text));
  EXPECT_TRUE(file.ok()) << file.status().message();
  return simulate_job(file->model, file->events);
}

double seconds_of(const JobResult& result, Category category) {
  const auto found = result.categories.find(category);
  return found == result.categories.end() ? 0 : found->second.to_seconds();
}

void expect_sum(const JobResult& result, Duration wall) {
  Duration sum;
  for (const auto& [category, time] : result.categories) {
    EXPECT_GE(time, Duration()) << decide::goodput::category_name(category);
    sum = sum + time;
  }
  EXPECT_EQ(sum, wall);
}

constexpr const char* kFour =
    R"({"nodes": 4, "spares": 1, "minReplicas": 1, "stepSeconds": 1, "checkpointEverySteps": 10,
        "wallSeconds": 100, "costs": {"inPlace": 2, "podRestart": 9, "swap": 3, "shrink": 2.5,
        "grow": 4}, "faults": [)";

TEST(JobModel, AWorkerIsBegunAgainWhereItStood) {
  const JobResult result = run(std::string(kFour) + R"({"at": 25, "kind": "worker", "rank": 1}]})");
  EXPECT_EQ(result.taken.at(Rung::RestartInPlace), 1);
  EXPECT_NEAR(seconds_of(result, Category::InfrastructureRecovery), 2, 1e-9);
  EXPECT_NEAR(seconds_of(result, Category::WastedProgress), 5, 1e-9) << "back to step 20";
  EXPECT_NEAR(result.goodput, 0.93, 1e-9);
  EXPECT_NEAR(result.accelerator_goodput, 0.93, 1e-9);
  expect_sum(result, Duration::seconds(100));
}

TEST(JobModel, ANodeIsSwappedAndASecondOneShrinksTheJobUntilOneIsBack) {
  const JobResult result = run(std::string(kFour) +
                               R"({"at": 20, "kind": "node", "node": 1},
                                  {"at": 40, "kind": "node", "node": 0, "backAt": 60}]})");
  EXPECT_EQ(result.taken.at(Rung::SwapSpare), 1);
  EXPECT_EQ(result.taken.at(Rung::Shrink), 1);
  EXPECT_EQ(result.taken.at(Rung::Grow), 1);
  // Two of three ranks for a while: a step takes 1.5 s then.
  EXPECT_LT(result.accelerator_goodput, result.goodput - 0.04);
  expect_sum(result, Duration::seconds(100));
}

TEST(JobModel, AFaultOfASpareCostsNothing) {
  const JobResult result = run(std::string(kFour) + R"({"at": 20, "kind": "node", "node": 3}]})");
  EXPECT_DOUBLE_EQ(result.goodput, 1);
  EXPECT_EQ(result.failures, 0);
}

TEST(JobModel, WithoutAPolicyEverythingWaitsForTheNode) {
  std::string text = std::string(kFour) + R"({"at": 40, "kind": "node", "node": 0, "backAt": 60}],
                     "plain": true})";
  text.replace(text.find("\"spares\": 1"), 11, "\"spares\": 0");
  const JobResult result = run(text);
  EXPECT_NEAR(seconds_of(result, Category::ElasticSliceDown), 27, 1e-6)
      << "20 until it is back, and 7 until its pod is";
  expect_sum(result, Duration::seconds(100));
}

TEST(JobModel, BadFilesNameTheField) {
  const std::pair<const char*, const char*> kCases[] = {
      {R"({})", "nodes is required"},
      {R"({"nodes": 2, "sparse": 1})", "sparse is no field"},
      {R"({"nodes": 2, "costs": {"swap": -1}})", "costs.swap"},
      {R"({"nodes": 2, "minReplicas": 3})", "make no width"},
      {R"({"nodes": 2, "faults": [{"at": 1, "kind": "flood", "node": 0}]})", "faults[0].kind"},
      {R"({"nodes": 2, "faults": [{"at": 1, "kind": "node", "node": 2}]})", "faults[0].node"},
      {R"({"nodes": 2, "faults": [{"at": 5, "kind": "node", "node": 1, "backAt": 4}]})", "backAt"},
  };
  for (const auto& [text, part] : kCases) {
    const auto file = parse_job_file(*Json::parse(text));
    ASSERT_FALSE(file.ok()) << text;
    EXPECT_NE(file.status().message().find(part), std::string::npos) << file.status().message();
  }
}

// Daly 2006: with failures at rate 1/M, saves that stall by c every t of work, and restarts of R
// that may fail themselves, t of work takes M e^(R/M) (e^((t+c)/M) - 1).
TEST(JobModel, AgreesWithDalysFormula) {
  JobModel model;
  model.nodes = 100;
  model.policy.rungs = {Rung::RestartInPlace};
  model.policy.budget.generations = 1'000'000;
  model.memory = {.every = Duration::seconds(60), .stall = Duration::seconds(2), .restore = {}};
  model.costs.in_place = model.costs.pod_restart = Duration::seconds(20);
  model.max_restarts = 1'000'000;  // two failures of one rank before a step, by chance
  model.wall = Duration::hours(24 * 25);
  const double between = 400;
  std::vector<NodeEvent> events;
  base::Rng rng(7);
  for (double at = 0; at < model.wall.to_seconds();) {
    at += -std::log(1 - rng.unit()) * between;
    events.push_back({.at = Duration::microseconds(static_cast<int64_t>(at * 1e6)),
                      .kind = NodeEvent::Kind::WorkerExit,
                      .rank = static_cast<int>(rng.below(100))});
  }
  const JobResult result = simulate_job(model, events);
  const double expected = 60 / (between * std::exp(20 / between) * (std::exp(62 / between) - 1));
  EXPECT_GT(result.failures, 4'000);
  EXPECT_NEAR(result.goodput, expected, 0.015 * expected);
  expect_sum(result, model.wall);
}

TEST(JobModel, ManyNodesCostNoMoreThanWhatHappensToThem) {
  const auto run_with = [](int nodes) {
    JobModel model;
    model.nodes = nodes;
    model.policy.spares = 8;
    model.policy.ranks_per_replica = 4;
    model.policy.min_replicas = nodes / 8;
    model.memory.every = Duration::seconds(10);
    model.wall = Duration::hours(2);
    std::vector<NodeEvent> events;
    for (int i = 0; i < 40; ++i) {
      const int node = i * (nodes / 40);
      events.push_back({.at = Duration::seconds(80 * i + 5), .node = node});
      events.push_back(
          {.at = Duration::seconds(80 * i + 50), .kind = NodeEvent::Kind::Up, .node = node});
    }
    const JobResult result = simulate_job(model, events);
    expect_sum(result, model.wall);
    return result;
  };
  const JobResult small = run_with(400), large = run_with(40'000);
  EXPECT_EQ(small.taken.at(Rung::SwapSpare), 40);
  EXPECT_EQ(small.taken, large.taken);
  EXPECT_EQ(small.failures, large.failures);
}

TEST(FaultTrace, NodesGetWholeHistoriesFromAMomentOfTheirOwn) {
  const auto trace = FaultTrace::parse(
      *Json::parse(R"([{"node_id": "a", "event_time": 10, "event_type": "fault_start"},
                       {"node_id": "a", "event_time": 20, "event_type": "fault_end"},
                       {"node_id": "a", "event_time": 40, "event_type": "fault_start"},
                       {"node_id": "a", "event_time": 41, "event_type": "fault_start"},
                       {"node_id": "a", "event_time": 42, "event_type": "fault_end"},
                       {"node_id": "a", "event_time": 50, "event_type": "fault_end"},
                       {"node_id": "b", "event_time": 100, "event_type": "fault_end"}])"),
      4);
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  EXPECT_DOUBLE_EQ(trace->failures_per_node_day(), 2.0 / 400) << "faults that overlap are one";
  const Duration wall = Duration::hours(24 * 300);
  const auto events = trace->resample(4000, wall, base::Rng(3));
  std::map<int, int> depth;
  size_t downs = 0;
  Duration last;
  for (const NodeEvent& event : events) {
    EXPECT_GE(event.at, last);
    last = event.at;
    downs += event.kind == NodeEvent::Kind::Down;
    depth[event.node] += event.kind == NodeEvent::Kind::Down ? 1 : -1;
    EXPECT_TRUE(depth[event.node] == 0 || depth[event.node] == 1);
  }
  // Each of a quarter of them fails twice per hundred days, for three hundred days.
  EXPECT_NEAR(static_cast<double>(downs), 6100, 300);
  EXPECT_FALSE(FaultTrace::parse(*Json::parse(R"([{"event_type": "flood"}])"), 4).ok());
}

}  // namespace
}  // namespace pelton::scenario
