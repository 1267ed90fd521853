// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/restore_choice.h"

#include <gtest/gtest.h>

#include "decide/recovery/test_job.h"

namespace pelton::decide::recovery {
namespace {

using checkpoint::Holding;
using checkpoint::MemoryVersion;

Holding holds(int64_t generation, int64_t step, int writers, std::vector<int> parts) {
  return {{generation, step}, writers, std::move(parts)};
}

/// Three pods; each node holds the part of its rank, and the replica of the rank before it.
class RestoreChoice : public ::testing::Test {
 protected:
  explicit RestoreChoice(int pods = 3, Policy policy = {}) : job(pods, std::move(policy)) {
    job.start();
    job.train(0, 10);
  }
  void hold(const std::string& pod, std::vector<Holding> held) {
    job.pod(pod).report.held = std::move(held);
  }
  /// The supervisor follows the newest generation, and no older worker of its pod runs any more.
  void say(const std::string& pod, std::vector<Holding> held) {
    PodReport& report = job.pod(pod).report;
    report.generation = report.quiet_before = job.generation().number;
    report.stage = PodReport::Stage::Running;
    report.workers.clear();
    report.held = std::move(held);
  }
  TestJob job;
};

TEST_F(RestoreChoice, NothingHeldIsNothingAsked) {
  job.fail("p1", "SIGKILL", 11);
  job.step();
  EXPECT_FALSE(job.generation().is_restore_open);
  EXPECT_EQ(job.generation().restore, std::nullopt);
}

TEST_F(RestoreChoice, WhileSurvivorsStillSaveTheStepIsChosenAfterTheyHaveEnded) {
  hold("p0", {holds(1, 8, 3, {0})});
  hold("p1", {holds(1, 8, 3, {1})});
  hold("p2", {holds(1, 8, 3, {2})});
  job.fail("p1", "SIGKILL", 11);
  job.step();
  ASSERT_EQ(job.generation().number, 2);
  EXPECT_TRUE(job.generation().is_restore_open);
  say("p0", {holds(1, 10, 3, {0}), holds(1, 9, 3, {0})});
  say("p1", {holds(1, 9, 3, {1})});
  const Decision waits = job.step();
  EXPECT_TRUE(job.generation().is_restore_open) << "p2 has not ended its worker yet";
  EXPECT_NE(waits.waits_for.find("p2"), std::string::npos) << waits.waits_for;
  say("p2", {holds(1, 10, 3, {2}), holds(1, 9, 3, {2})});
  job.step();
  EXPECT_EQ(job.generation().number, 2) << "it is the same attempt";
  EXPECT_FALSE(job.generation().is_restore_open);
  EXPECT_EQ(job.generation().restore, (MemoryVersion{1, 9})) << "rank 1 had not saved step 10";
  const Decision calm = job.look();
  EXPECT_EQ(to_json(calm.record), to_json(job.observed.record)) << "nothing is decided twice";
}

TEST_F(RestoreChoice, WhereAllHaveStoppedItIsChosenAtOnce) {
  for (const char* pod : {"p0", "p1", "p2"}) {
    job.fail(pod, "RuntimeError", 11);
    job.pod(pod).report.quiet_before = 2;
    hold(pod, {holds(1, 10, 3, {pod[1] - '0'})});
  }
  job.step();
  EXPECT_FALSE(job.generation().is_restore_open);
  EXPECT_EQ(job.generation().restore, (MemoryVersion{1, 10}));
}

TEST_F(RestoreChoice, AMemberLostWhileTheQuestionIsOpenOpensItAnew) {
  for (const char* pod : {"p0", "p1", "p2"}) hold(pod, {holds(1, 8, 3, {pod[1] - '0'})});
  job.fail("p1", "SIGKILL", 11);
  job.step();
  ASSERT_TRUE(job.generation().is_restore_open);
  say("p0", {holds(1, 8, 3, {0})});
  say("p1", {holds(1, 8, 3, {1})});
  job.observed.nodes[job.pod("p2").node].is_unreachable = true;
  job.step();
  EXPECT_EQ(job.generation().number, 3);
  EXPECT_NE(job.generation().phase, Generation::Phase::Failed);
}

TEST_F(RestoreChoice, ADamagedVersionIsNotTakenAgainAndIsNoReasonToStop) {
  const std::vector<Holding> held = {holds(1, 10, 3, {0, 1, 2}), holds(1, 9, 3, {0, 1, 2}),
                                     holds(1, 8, 3, {0, 1, 2})};
  for (const char* pod : {"p0", "p1", "p2"}) hold(pod, held);
  job.fail("p1", "SIGKILL", 11);
  job.step();
  for (const int64_t step : {10, 9, 8}) {
    for (const char* pod : {"p0", "p1", "p2"}) say(pod, held);
    job.step();
    ASSERT_EQ(job.generation().restore, (MemoryVersion{1, step}));
    job.pod("p1").report.workers.resize(1);
    job.fail("p1", kDamaged);
    job.step();
    EXPECT_EQ(job.rung(), Rung::RestartInPlace);
  }
  for (const char* pod : {"p0", "p1", "p2"}) say(pod, held);
  job.step();
  EXPECT_FALSE(job.generation().is_restore_open);
  EXPECT_EQ(job.generation().restore, std::nullopt) << "what the durable tier has";
}

class RestoreAfterLoss : public RestoreChoice {
 protected:
  static Policy spare() {
    Policy policy;
    policy.spares = 1;
    return policy;
  }
  RestoreAfterLoss() : RestoreChoice(4, spare()) {}
  /// Node of p1 is lost with its memory; the spare p3 holds nothing.
  void lose_p1() {
    for (const char* pod : {"p0", "p1", "p2"}) hold(pod, {holds(1, 8, 3, {pod[1] - '0'})});
    job.observed.nodes[job.pod("p1").node].is_unreachable = true;
    job.step();
    ASSERT_EQ(job.rung(), Rung::SwapSpare);
    ASSERT_EQ(job.members(), "p0 p3 p2");
    ASSERT_TRUE(job.generation().is_restore_open);
  }
};

TEST_F(RestoreAfterLoss, AReplicaOnAnotherNodeMakesTheVersionComplete) {
  lose_p1();
  say("p0", {holds(1, 10, 3, {0, 2}), holds(1, 9, 3, {0})});
  say("p2", {holds(1, 10, 3, {1, 2}), holds(1, 9, 3, {1, 2})});
  say("p3", {});
  job.step();
  EXPECT_EQ(job.generation().restore, (MemoryVersion{1, 10}));
}

TEST_F(RestoreAfterLoss, WithoutAReplicaTheOlderVersionOrTheDurableTierIsTaken) {
  lose_p1();
  say("p0", {holds(1, 10, 3, {0}), holds(1, 7, 3, {0})});
  say("p2", {holds(1, 10, 3, {2}), holds(1, 7, 3, {1, 2})});
  say("p3", {});
  job.step();
  EXPECT_EQ(job.generation().restore, (MemoryVersion{1, 7}));
}

}  // namespace
}  // namespace pelton::decide::recovery
