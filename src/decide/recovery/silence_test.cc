// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/silence.h"

#include <gtest/gtest.h>

#include "decide/recovery/test_job.h"

namespace pelton::decide::recovery {
namespace {

using base::Duration;

/// Three members and a spare, whose nodes renew their Leases every 2 s.
class SilenceTest : public ::testing::Test {
 protected:
  SilenceTest() : job(4, spare()) {
    job.start();
    job.train(0, 5);
    job.now = job.now + Duration::seconds(100);
    hear_all();
    job.now = job.now + Duration::seconds(1);
  }
  static Policy spare() {
    Policy policy;
    policy.spares = 1;
    return policy;
  }
  void hear_all() {
    for (auto& [name, node] : job.observed.nodes) hear(name);
  }
  void hear(const std::string& node) {
    job.observed.nodes[node].heard = job.now;
    job.observed.nodes[node].lease = Duration::seconds(10);
  }
  void lose_peer(const std::string& pod) {
    job.fail(pod, "RuntimeError", 6);
    job.pod(pod).report.workers.at(0).detail = "[gloo] Connection closed by peer";
  }
  TestJob job;
};

TEST_F(SilenceTest, WhoseNodeHasGoneIsNotBegunAgainWith) {
  lose_peer("p0");
  lose_peer("p2");
  job.settle();
  EXPECT_EQ(job.generation().number, 1);
  EXPECT_EQ(job.look().waits_for, "ranks have lost a peer: whether node n1-0 is still heard of");
  ASSERT_TRUE(job.look().look_again);
  job.now = job.now + Duration::seconds(2);
  hear("n0-0");
  hear("n2-0");
  job.settle();
  EXPECT_EQ(job.generation().number, 2);
  EXPECT_EQ(job.rung(), Rung::SwapSpare);
  EXPECT_EQ(job.members(), "p0 p3 p2");
  EXPECT_EQ(job.observed.record.history.back().failure.cause, "NodeSilent");
}

TEST_F(SilenceTest, AnyWordOfTheNodeEndsTheWaiting) {
  lose_peer("p0");
  lose_peer("p2");
  job.settle();
  job.now = job.now + Duration::milliseconds(500);
  hear("n1-0");
  job.settle();
  EXPECT_EQ(job.rung(), Rung::RestartInPlace);
}

TEST_F(SilenceTest, AFailureWithACauseOfItsOwnIsMetAtOnce) {
  lose_peer("p0");
  job.fail("p1", "SIGKILL", 6);
  job.settle();
  EXPECT_EQ(job.rung(), Rung::RestartInPlace);
}

TEST_F(SilenceTest, AnExceptionOfTheProgramIsMetAtOnce) {
  job.fail("p0", "ValueError", 6);
  job.settle();
  EXPECT_EQ(job.rung(), Rung::RestartInPlace);
}

TEST_F(SilenceTest, WhereAllHaveLostAConnectionNobodyIsWaitedFor) {
  for (const char* pod : {"p0", "p1", "p2"}) lose_peer(pod);
  job.settle();
  EXPECT_EQ(job.rung(), Rung::RestartInPlace);
}

TEST_F(SilenceTest, WithoutALeaseNothingIsWaitedFor) {
  for (auto& [name, node] : job.observed.nodes) node.heard.reset();
  lose_peer("p0");
  job.settle();
  EXPECT_EQ(job.rung(), Rung::RestartInPlace);
}

TEST(SilenceLease, SaysWhenANodeWasHeardOf) {
  NodeFacts facts;
  observe_lease(nullptr, facts);
  EXPECT_FALSE(facts.heard);
  const auto lease = base::Json::parse(
      R"({"spec": {"renewTime": "2026-11-27T05:00:00.000000Z", "leaseDurationSeconds": 10}})");
  observe_lease(&*lease, facts);
  EXPECT_EQ(facts.heard, *base::parse_time("2026-11-27T05:00:00Z"));
  EXPECT_EQ(facts.lease, Duration::seconds(10));
}

}  // namespace
}  // namespace pelton::decide::recovery
