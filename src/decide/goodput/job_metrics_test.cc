// SPDX-License-Identifier: Apache-2.0
#include "decide/goodput/job_metrics.h"

#include <gtest/gtest.h>

#include <set>

#include "api/object.h"
#include "base/strings.h"
#include "decide/recovery/records.h"

namespace pelton::decide::goodput {
namespace {

using base::Instant;
using base::Json;

Instant at(int seconds) {
  return Instant::from_unix_seconds(1'767'225'600) + base::Duration::seconds(seconds);
}
std::string text_at(int seconds) {
  return base::format_micro_time(at(seconds));
}

/// A job of two pods: steps 0 to 99 from 10 to 110, killed at 111, and again from step 90 on.
class JobMetricsTest : public testing::Test {
 protected:
  JobMetricsTest() {
    jobset_ = Json::object(
        {{"metadata", Json::object({{"name", "tr\"ain"},
                                    {"namespace", "ml"},
                                    {"uid", "u"},
                                    {"creationTimestamp", base::format_time(at(0))}})}});
    generation_.number = 2;
    generation_.job_uid = "u";
    generation_.members = {{"a", "u-a", "n0", "", 1}, {"b", "u-b", "n1", "", 1}};
    generation_.began = at(113);
    const Json past = Json::object({{"number", 1},
                                    {"phase", "Running"},
                                    {"rung", "Start"},
                                    {"worldSize", 2},
                                    {"fullWorldSize", 2},
                                    {"began", text_at(0)},
                                    {"ended", text_at(113)},
                                    {"cause", "SIGKILL"},
                                    {"rank", 1},
                                    {"node", "n1"},
                                    {"failedAt", text_at(111)},
                                    {"firstStep", 0},
                                    {"firstStepAt", text_at(11)},
                                    {"lastStep", 99},
                                    {"lastStepAt", text_at(110)}});
    record_ = Json::object(
        {{"uid", "u"},
         {"fullWorldSize", 2},
         {"history", Json::array({past})},
         {"generation", recovery::to_json(generation_)},
         {"lastDecision", Json::object({{"rung", "RestartInPlace"}, {"reason", "SIGKILL"}})}});
    for (const char* name : {"a", "b", "c"}) report(name, {});
  }

  void report(const std::string& name, const recovery::PodReport& report) {
    Json pod = Json::object({{"metadata", Json::object({{"name", name}, {"uid", "u-" + name}})},
                             {"status", Json::object({{"phase", "Running"}})}});
    api::set_condition(pod,
                       {recovery::kWorkersCondition, "True", recovery::stage_name(report.stage),
                        recovery::to_json(report).dump()},
                       at(0));
    pods_[name] = pod;
  }
  void steps(const std::string& name, int64_t last, int last_at) {
    recovery::PodReport says;
    says.generation = 2;
    says.stage = recovery::PodReport::Stage::Running;
    says.first_step = 90;
    says.last_step = last;
    says.first_step_at = at(121);
    says.last_step_at = at(last_at);
    report(name, says);
  }
  JobMetrics observe(int now) const {
    std::vector<const Json*> pods;
    for (const auto& [name, pod] : pods_) pods.push_back(&pod);
    return observe_job(jobset_, record_, pods, at(now));
  }
  static double value_of(const std::string& text, const std::string& sample) {
    for (const std::string_view line : base::split(text, '\n')) {
      if (line.rfind(sample + " ", 0) == 0)
        return std::stod(std::string(line.substr(sample.size())));
    }
    ADD_FAILURE() << sample << " is not in\n" << text;
    return -1;
  }

  Json jobset_, record_;
  recovery::Generation generation_;
  std::map<std::string, Json> pods_;
};

TEST_F(JobMetricsTest, SayTheSameAsTheReportInPrometheusForm) {
  for (const char* pod : {"a", "b"}) steps(pod, 149, 180);
  const std::string text = exposition({observe(180)});
  const std::string job = R"({namespace="ml",jobset="tr\"ain")";
  const auto value = [&](const std::string& name, const std::string& more = "") {
    return value_of(text, name + job + more + "}");
  };
  EXPECT_EQ(value("pelton_jobset_time_seconds", R"(,category="PRODUCTIVE",cause="")"), 150);
  EXPECT_EQ(value("pelton_jobset_time_seconds",
                  R"(,category="WASTED_PROGRESS_FROM_DISRUPTION",cause="SIGKILL")"),
            11);
  EXPECT_EQ(value("pelton_jobset_time_seconds", R"(,category="OTHER",cause="")"), 0);
  EXPECT_EQ(value("pelton_jobset_wall_seconds"), 180);
  EXPECT_EQ(value("pelton_jobset_uptime_seconds"), 161);
  EXPECT_NEAR(value("pelton_jobset_goodput_ratio"), 150.0 / 180, 1e-9);
  EXPECT_EQ(value("pelton_jobset_times_to_recover_seconds_bucket", R"(,le="5")"), 0);
  EXPECT_EQ(value("pelton_jobset_times_to_recover_seconds_bucket", R"(,le="10")"), 1);
  EXPECT_EQ(value("pelton_jobset_times_to_recover_seconds_bucket", R"(,le="+Inf")"), 1);
  EXPECT_EQ(value("pelton_jobset_times_to_recover_seconds_sum"), 9);
  EXPECT_EQ(value("pelton_jobset_times_between_interruptions_seconds_count"), 1);
  EXPECT_EQ(value("pelton_jobset_interruptions_total", R"(,cause="SIGKILL")"), 1);
  EXPECT_EQ(value("pelton_jobset_generations_total", R"(,rung="Start",cause="")"), 1);
  EXPECT_EQ(value("pelton_jobset_generations_total", R"(,rung="RestartInPlace",cause="SIGKILL")"),
            1);
  EXPECT_EQ(value("pelton_jobset_ranks"), 2);
  EXPECT_EQ(value("pelton_jobset_spares"), 1) << "c";
  EXPECT_EQ(value("pelton_jobset_step"), 149);
  EXPECT_EQ(value("pelton_jobset_state", R"(,state="Training")"), 1);
  EXPECT_EQ(value("pelton_jobset_state", R"(,state="Recovering")"), 0);
}

TEST_F(JobMetricsTest, ARecoveryTakesWhatItTookHoweverManyStepsFollow) {
  std::set<int64_t> seen;
  for (int steps_done = 0; steps_done < 40; ++steps_done) {
    // Each step is a second longer than the one before.
    for (const char* pod : {"a", "b"}) {
      steps(pod, 90 + steps_done, 121 + steps_done * (steps_done + 1) / 2);
    }
    const JobMetrics metrics = observe(2000);
    ASSERT_EQ(metrics.report->times_to_recover.size(), 1u);
    seen.insert(metrics.report->times_to_recover[0].ns());
  }
  EXPECT_EQ(seen.size(), 1u) << "a histogram's sum that goes down is taken for a restart";
}

TEST_F(JobMetricsTest, TheStateIsWhatTheMembersSay) {
  const auto state = [&] { return std::string(job_state_name(*observe(200).state)); };
  EXPECT_EQ(state(), "Recovering") << "nobody has done a step";
  steps("a", 90, 121);
  EXPECT_EQ(state(), "Recovering") << "not all have";
  steps("b", 90, 121);
  EXPECT_EQ(state(), "Training");
  record_.set("fullWorldSize", 3);
  EXPECT_EQ(state(), "Degraded");
  record_.child("lastDecision").set("rung", "Shrink");
  EXPECT_EQ(state(), "Degraded");
  report("a", {});
  EXPECT_EQ(state(), "Resizing");
  recovery::PodReport dead;
  dead.generation = 2;
  dead.workers.push_back({});
  dead.workers[0].state = recovery::WorkerState::Exited;
  report("a", dead);
  EXPECT_EQ(state(), "Recovering");
  record_.child("generation").set("phase", "Waiting");
  EXPECT_EQ(state(), "Waiting");
  EXPECT_EQ(observe(200).ranks, 0);
  record_.child("generation").set("phase", "Finished");
  EXPECT_EQ(state(), "Finished");
  record_ = Json();
  EXPECT_EQ(state(), "Pending");
  EXPECT_FALSE(observe(200).report);
}

TEST_F(JobMetricsTest, WhatIsOverIsCountedOnce) {
  record_.child("generation").set("phase", "Finished");
  Json last = record_["history"][0];
  last.set("number", 2);
  last.set("rung", "RestartInPlace");
  last.set("cause", Json());
  record_.child("history").push_back(last);
  record_.child("lastDecision").set("rung", "Finish");
  int64_t all = 0;
  for (const auto& [which, count] : observe(500).generations) all += count;
  EXPECT_EQ(all, 2);
}

TEST_F(JobMetricsTest, OfALogHaveNoFamilyWithoutASample) {
  JobMetrics log;
  log.name = "events.jsonl";
  log.report = observe(180).report;
  const std::string text = exposition({log});
  EXPECT_EQ(text.find("pelton_jobset_state"), std::string::npos);
  EXPECT_EQ(text.find("pelton_jobset_ranks"), std::string::npos);
  EXPECT_EQ(exposition({}), "");
}

}  // namespace
}  // namespace pelton::decide::goodput
