// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/records.h"

#include <gtest/gtest.h>

#include "api/decode.h"
#include "api/schema.h"
#include "decide/recovery/job_record.h"

namespace pelton::decide::recovery {
namespace {

using base::Instant;
using base::Json;

Generation a_generation() {
  Generation generation;
  generation.number = 65;
  generation.job_uid = "job";
  generation.members = {{"a", "uid-a", "node-1", "10.0.0.1", 2, "r1"},
                        {"b", "uid-b", "node-2", "10.0.0.2", 1}};
  generation.reason = "rank 1 was killed";
  generation.began = Instant::from_unix_ns(1'700'000'000'123'456'000);
  generation.restore = checkpoint::MemoryVersion{64, 1000};
  generation.is_restore_open = true;
  generation.observed = {86'400, 3, 1};
  generation.save_by =
      SaveBy{Instant::from_unix_seconds(1'700'000'100), "Preempted", "node-2", 7, true};
  return generation;
}

TEST(Records, RanksArePositionsInTheMembership) {
  const Generation generation = a_generation();
  EXPECT_EQ(generation.world_size(), 3);
  EXPECT_EQ(generation.index_of("uid-b"), 1U);
  EXPECT_EQ(generation.first_rank_of(1), 2);
  EXPECT_FALSE(generation.index_of("uid-c")) << "a spare";
  EXPECT_EQ(generation.port_from(29500), 29501);
}

TEST(Records, AGenerationComesBack) {
  const base::Result<Generation> back = generation_of(to_json(a_generation()));
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(*back, a_generation());
}

TEST(Records, WhatAJobHasSeenIsLeftOutWhereItIsNothingOrCannotBe) {
  Generation generation = a_generation();
  generation.observed = {};
  EXPECT_FALSE(to_json(generation).contains("observedFailures"));
  Json json = to_json(generation);
  for (const Json& bad : {Json("many"), Json::object({{"nodeSeconds", -1}, {"memory", "x"}})}) {
    json.set("observedFailures", bad);
    EXPECT_EQ(*generation_of(json), generation) << "the job goes on";
  }
  json.set("observedFailures", Json::object({{"memory", INT64_MAX}}));
  EXPECT_EQ(generation_of(json)->observed.memory, checkpoint::kMostObserved);
}

TEST(Records, AReportComesBack) {
  PodReport report;
  report.generation = 3;
  report.stage = PodReport::Stage::Stopped;
  report.ranks = 2;
  report.parked = true;
  report.cause = "HealthCheck";
  report.detail = "because";
  report.workers = {{.rank = 4, .state = WorkerState::Running, .step = 7, .phase = "step"},
                    {.rank = 5,
                     .state = WorkerState::Exited,
                     .exit_code = {},
                     .signal = 9,
                     .cause = "SIGKILL",
                     .detail = "killed",
                     .step = 0,
                     .phase = "compile",
                     .since = Instant::from_unix_ns(1'700'000'000'000'001'000)}};
  report.phase_seconds = {{"compile", 1.5}, {"step", 0.25}};
  report.first_step = 0;
  report.last_step = 7;
  report.answers_saves = true;
  report.told_save_by = Instant::from_unix_seconds(12);
  report.saved_step = 6;
  report.first_step_at = Instant::from_unix_seconds(10);
  report.last_step_at = Instant::from_unix_seconds(20);
  report.held = {{{3, 6}, 4, {0, 3}}, {{2, 9}, 4, {0}}};
  report.held_at = 11;
  report.quiet_before = 4;
  const base::Result<PodReport> back = pod_report_of(to_json(report));
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(*back, report);

  const Json pod = Json::object(
      {{"status", Json::object({{"conditions", Json::array({Json::object(
                                                   {{"type", kWorkersCondition},
                                                    {"message", to_json(report).dump()}})})}})}});
  EXPECT_EQ(report_in(pod), report);
  EXPECT_EQ(report_in(Json::object()), PodReport());
}

TEST(Records, WhatIsWrongIsNamed) {
  const auto says = [](const Json& json) {
    const base::Result<Generation> generation = generation_of(json);
    return generation.ok() ? "" : generation.error().message();
  };
  Json json = to_json(a_generation());
  json.set("number", 0);
  EXPECT_EQ(says(json), "number: must be 1 or more");
  json.set("number", 1);
  json.set("phase", "Sleeping");
  EXPECT_EQ(says(json), "phase: \"Sleeping\" is none of Running, Finished, Failed, Waiting");
  json = to_json(a_generation());
  json.child("members").push_back(to_json(a_generation())["members"][0]);
  EXPECT_EQ(says(json), "members[2].podUID: twice");
  json = Json::object(
      {{"number", 1}, {"phase", "Running"}, {"members", Json::array({Json::object()})}});
  EXPECT_EQ(says(json), "members[0].podUID: required");
  json = to_json(a_generation());
  json.set("restore", Json::object({{"generation", 1}, {"step", -1}}));
  EXPECT_EQ(says(json), "restore: must have a generation and a step, integers from 0");
  json = to_json(a_generation());
  json.set("members", Json::array({Json::object({{"podUID", "a"}, {"ranks", 0}})}));
  EXPECT_EQ(says(json), "members[0].ranks: must be an integer from 1 to 1000000");
}

TEST(Records, TheServerKeepsEveryFieldOfAStatus) {
  JobRecord record;
  record.name = "train";
  record.uid = "job";
  record.attempt = 1;
  record.full_world_size = 4;
  record.generation = a_generation();
  record.last = {Rung::Shrink,
                 "a node is gone",
                 Instant::from_unix_seconds(1'700'000'000),
                 {{Rung::Wait, true, 3.5, "a machine is repaired in 300 s"}}};
  record.durable_step = 7;
  PastGeneration past;
  past.number = 64;
  past.failure = {"SIGKILL", "a detail", 1, "uid-a", "node-1", 9, record.last.at};
  record.history = {past};
  record.replaced = {{"a", "uid-a", "node-1", "why", true, record.last.at}};
  NodeMemory memory;
  memory.failures = {record.last.at};
  memory.cause = "SIGKILL";
  memory.quarantine = NodeMemory::Quarantine::Done;
  memory.quarantined_at = record.last.at;
  Json policy = Json::object(
      {{"status", Json::object({{"observedGeneration", 1},
                                {"jobSets", Json::array({to_json(record)})},
                                {"nodes", to_json(NodeMemories{{"node-1", memory}})}})}});
  const api::TypeInfo* const type = api::find_type("dev.pelton.v1alpha1.RecoveryPolicy");
  ASSERT_NE(type, nullptr);
  EXPECT_EQ(api::prune(*type, policy), std::vector<std::string>());
}

}  // namespace
}  // namespace pelton::decide::recovery
