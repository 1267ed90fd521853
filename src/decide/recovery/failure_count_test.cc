// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/failure_count.h"

#include <gtest/gtest.h>

#include "decide/recovery/test_job.h"

namespace pelton::decide::recovery {
namespace {

using base::Duration;
using checkpoint::ObservedFailures;
using Phase = Generation::Phase;

/// Three pods on three nodes, which have trained for 1,000 s.
class FailureCount : public ::testing::Test {
 protected:
  FailureCount() {
    job.start();
    train();
  }
  void train() {
    job.train(1, 10);
    job.now = job.generation().began + Duration::seconds(1000);
  }
  void lose(const std::string& pod) {
    job.observed.nodes[job.pod(pod).node].is_unreachable = true;
    job.step(false);
  }
  const ObservedFailures& observed() const { return job.generation().observed; }
  TestJob job{3};
};

TEST_F(FailureCount, WhoIsKilledOrRaisesLeavesTheNodesMemory) {
  EXPECT_EQ(observed(), ObservedFailures()) << "of the first generation nothing is known";
  job.fail("p1", "SIGKILL", 11);
  job.settle();
  EXPECT_EQ(observed(), (ObservedFailures{3000, 1, 0}));
  train();
  job.fail("p2", "ValueError", 14);
  job.settle();
  EXPECT_EQ(observed(), (ObservedFailures{6000, 2, 0})) << "counted on";
}

TEST_F(FailureCount, SoDoesAPodThatGoesWithoutItsNode) {
  job.remove_pod("p1");
  job.step();
  EXPECT_EQ(observed(), (ObservedFailures{3000, 1, 0}));
}

TEST_F(FailureCount, WhatANodeTookWithItOnlyTheDurableTierHas) {
  for (const char* pod : {"p0", "p1", "p2"}) {
    job.pod(pod).report.held = {{{1, 10}, 3, {pod[1] - '0'}}};
  }
  lose("p1");
  EXPECT_EQ(observed(), (ObservedFailures{3000, 0, 1}));
}

TEST_F(FailureCount, WhereTheOthersHoldCopiesMemorySurvivesOneNodeAndNotTwo) {
  for (const char* pod : {"p0", "p1", "p2"}) {
    const int rank = pod[1] - '0';
    job.pod(pod).report.held = {{{1, 10}, 3, {rank, (rank + 1) % 3}}};
  }
  const TestJob whole = job;
  lose("p1");
  EXPECT_EQ(observed(), (ObservedFailures{3000, 1, 0}));
  job = whole;
  job.observed.nodes[job.pod("p2").node].is_unreachable = true;
  lose("p1");
  EXPECT_EQ(observed(), (ObservedFailures{3000, 0, 1})) << "one failure took both copies";
}

TEST_F(FailureCount, ANodeThatIsNotFitToGoOnIsAsGoodAsLost) {
  job.fail("p1", "LinkDown", 11);
  job.step();
  EXPECT_EQ(observed(), (ObservedFailures{3000, 0, 1}));
}

TEST_F(FailureCount, TheSameFailureAgainIsNoMoreOfThem) {
  job.observed.policy.patience = 5;
  for (int i = 0; i < 4; ++i) {
    job.fail("p1", "ValueError", 11);
    job.settle();
    ASSERT_EQ(job.generation().number, i + 2);
    train();
  }
  EXPECT_EQ(observed(), (ObservedFailures{12'000, 1, 0}));
  job.fail("p1", "ValueError", 12);
  job.settle();
  EXPECT_EQ(observed(), (ObservedFailures{15'000, 2, 0})) << "another step is another failure";
}

TEST_F(FailureCount, WhereNobodyRunsNoTimePasses) {
  lose("p1");
  job.step();
  ASSERT_EQ(job.generation().phase, Phase::Waiting);
  job.now = job.now + Duration::hours(10);
  job.make_pods();
  job.start();
  ASSERT_EQ(job.generation().phase, Phase::Running);
  EXPECT_EQ(observed(), (ObservedFailures{3000, 0, 1}));
}

TEST_F(FailureCount, ASuspendedJobHasNotFailed) {
  job.observed.is_suspended = true;
  job.step();
  EXPECT_EQ(observed(), (ObservedFailures{3000, 0, 0}));
}

TEST_F(FailureCount, NothingOverflows) {
  constexpr int64_t kMost = checkpoint::kMostObserved;
  job.observed.record.generation.observed = {kMost, kMost, kMost};
  job.fail("p1", "SIGKILL", 11);
  job.step();
  EXPECT_EQ(observed(), (ObservedFailures{kMost, kMost, kMost}));
}

}  // namespace
}  // namespace pelton::decide::recovery
