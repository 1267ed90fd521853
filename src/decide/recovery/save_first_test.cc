// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/save_first.h"

#include <gtest/gtest.h>

#include "decide/recovery/test_job.h"

namespace pelton::decide::recovery {
namespace {

using base::Duration;
using Phase = Generation::Phase;

/// Two members of which the first's node is to go; a third pod is a spare.
class SaveFirstTest : public ::testing::Test {
 protected:
  static Policy policy(int spares) {
    Policy policy;
    policy.spares = spares;
    return policy;
  }
  explicit SaveFirstTest(int spares = 1) : job(2 + spares, policy(spares)) {
    job.start();
    job.train(0, 5);
    for (const char* name : {"p0", "p1"}) job.pod(name).report.answers_saves = true;
  }
  void notice(Duration left) {
    deadline = job.now + left;
    job.observed.nodes["n0-0"].notice = Notice{"Preempted", deadline};
  }
  void tell(const std::string& pod) {
    job.pod(pod).report.told_save_by = job.generation().save_by->at;
  }
  TestJob job;
  base::Instant deadline;
};

TEST_F(SaveFirstTest, ANodeIsLeftOnceAllHaveBeenToldAndAStepIsSaved) {
  notice(Duration::seconds(60));
  job.settle();
  ASSERT_TRUE(job.generation().save_by);
  EXPECT_EQ(job.generation().number, 1) << "nothing is fenced by asking";
  EXPECT_EQ(job.generation().save_by->node, "n0-0");
  EXPECT_EQ(job.generation().save_by->at, deadline);
  EXPECT_FALSE(job.generation().save_by->is_known);
  EXPECT_EQ(job.look().waits_for, "node n0-0 is to go (Preempted): a checkpoint is saved before");
  tell("p0");
  job.settle();
  EXPECT_FALSE(job.generation().save_by->is_known) << "p1 might pass the step without knowing";
  tell("p1");
  job.settle();
  EXPECT_TRUE(job.generation().save_by->is_known);
  EXPECT_EQ(job.generation().number, 1);
  job.pod("p1").report.saved_step = 8;
  job.settle();
  EXPECT_EQ(job.rung(), Rung::SwapSpare);
  EXPECT_EQ(job.members(), "p2 p1");
  EXPECT_FALSE(job.generation().save_by) << "the next generation has other nodes";
  EXPECT_EQ(job.observed.record.durable_step, 8);
}

TEST_F(SaveFirstTest, NoSaveIsWaitedForOnceTheSwapWouldComeTooLate) {
  notice(Duration::seconds(60));
  job.settle();
  // 4 s for a spare that is not warm, and 1 s.
  EXPECT_EQ(job.look().look_again->ns(), Duration::seconds(55).ns());
  job.now = job.now + Duration::seconds(54);
  job.settle();
  EXPECT_EQ(job.generation().number, 1);
  job.now = job.now + Duration::seconds(1);
  job.settle();
  EXPECT_EQ(job.rung(), Rung::SwapSpare);
  EXPECT_EQ(job.observed.record.durable_step, -1);
}

TEST_F(SaveFirstTest, WhereNobodyWouldAnswerNobodyIsAsked) {
  for (const char* name : {"p0", "p1"}) job.pod(name).report.answers_saves = false;
  notice(Duration::seconds(60));
  job.settle();
  EXPECT_EQ(job.rung(), Rung::SwapSpare);
}

TEST_F(SaveFirstTest, ADeadlineThatIsPastAsksForNothing) {
  notice(Duration::seconds(-1));
  job.settle();
  EXPECT_EQ(job.rung(), Rung::SwapSpare);
}

TEST_F(SaveFirstTest, AFailureMeanwhileLeavesNothingToSave) {
  notice(Duration::seconds(60));
  job.settle();
  job.fail("p1", "SIGKILL", 6);
  job.settle();
  EXPECT_EQ(job.rung(), Rung::SwapSpare);
  EXPECT_EQ(job.generation().number, 3);
  EXPECT_FALSE(job.generation().save_by);
}

TEST_F(SaveFirstTest, AnotherNoticeLaterIsAnsweredByALaterStep) {
  job.pod("p0").report.saved_step = 4;
  notice(Duration::seconds(60));
  job.settle();
  EXPECT_EQ(job.generation().save_by->after, 4);
  EXPECT_EQ(job.generation().number, 1) << "what was saved before is no answer";
}

class SaveFirstRigid : public SaveFirstTest {
 protected:
  SaveFirstRigid() : SaveFirstTest(0) {}
};

TEST_F(SaveFirstRigid, AJobThatCanGoNowhereSavesShortlyBeforeAndRunsOn) {
  notice(Duration::seconds(600));
  job.settle();
  EXPECT_FALSE(job.generation().save_by);
  job.now = job.now + Duration::seconds(571);
  job.settle();
  EXPECT_TRUE(job.generation().save_by);
  EXPECT_EQ(job.generation().number, 1);
}

TEST_F(SaveFirstTest, WhatMemoryHoldsOfOlderStepsIsNotRestored) {
  const auto hold = [&](const char* name, int64_t step) {
    PodReport& report = job.pod(name).report;
    report.held = {{{1, step}, 2, {0, 1}}};
    report.quiet_before = 99;
  };
  job.observed.record.generation.save_by = SaveBy{job.now, "Preempted", "n0-0"};
  job.pod("p0").report.saved_step = 8;
  job.pod("p2").report.quiet_before = 99;
  hold("p1", 6);
  job.observed.nodes["n0-0"].is_unreachable = true;
  EXPECT_FALSE(job.look().record.generation.restore) << "the durable tier has step 8";
  hold("p1", 8);
  EXPECT_EQ(job.look().record.generation.restore, (checkpoint::MemoryVersion{1, 8}));
}

}  // namespace
}  // namespace pelton::decide::recovery
