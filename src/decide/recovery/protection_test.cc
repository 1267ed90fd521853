// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/protection.h"

#include <gtest/gtest.h>

#include "decide/recovery/test_job.h"

namespace pelton::decide::recovery {
namespace {

using checkpoint::Holding;

Holding holds(int64_t generation, int64_t step, std::vector<int> parts) {
  return {{generation, step}, 3, std::move(parts)};
}

class ProtectionTest : public ::testing::Test {
 protected:
  ProtectionTest() { job.start(); }
  void hold(const std::string& pod, std::vector<Holding> held, int64_t at = 7) {
    PodReport& report = job.pod(pod).report;
    report.generation = job.generation().number;
    report.held = std::move(held);
    report.held_at = at;
  }
  ProtectionNow now() const { return protection_of(job.observed, job.generation()); }
  Protection look() const { return now().protection.value(); }
  TestJob job{3};
};

TEST_F(ProtectionTest, NothingInMemoryIsNothingToProtect) {
  EXPECT_FALSE(now().protection);
  hold("p0", {holds(0, 10, {0, 1, 2})});  // of another time, and nobody restored it
  EXPECT_FALSE(now().protection);
  EXPECT_FALSE(now().is_unknown);
}

TEST_F(ProtectionTest, AVersionHasToSurviveTheLossOfEachNodeAsAWhole) {
  hold("p0", {holds(1, 20, {0}), holds(1, 10, {0, 2})});
  hold("p1", {holds(1, 20, {1}), holds(1, 10, {0, 1})});
  hold("p2", {holds(1, 20, {2}), holds(1, 10, {2})});
  EXPECT_FALSE(look().is_protected);
  EXPECT_EQ(look().reason, "Unprotected");
  EXPECT_EQ(look().message,
            "3 of 3 parts of step 20 lie in one place only, and all is lost with node n1-0");
  hold("p2", {holds(1, 20, {2}), holds(1, 10, {1, 2})});
  EXPECT_TRUE(look().is_protected) << "by step 10";
}

TEST_F(ProtectionTest, TwoNodesForEachWriterAreNotEnoughWhereTheyHoldDifferentVersions) {
  hold("p0", {holds(1, 20, {0, 2}), holds(1, 10, {0})});
  hold("p1", {holds(1, 20, {1}), holds(1, 10, {0, 1})});
  hold("p2", {holds(1, 20, {2}), holds(1, 10, {1})});
  EXPECT_FALSE(look().is_protected)
      << "with p1 go part 1 of step 20, and part 2 of step 10 was not "
         "there anyway";
}

TEST_F(ProtectionTest, DifferentVersionsMaySurviveDifferentLosses) {
  // p1 gives the older version away, as those to whom it copies have copied the newer one.
  hold("p0", {holds(1, 20, {0, 2}), holds(1, 10, {0, 2})});
  hold("p1", {holds(1, 20, {0, 1}), holds(1, 10, {0})});
  hold("p2", {holds(1, 20, {2}), holds(1, 10, {1, 2})});
  EXPECT_TRUE(look().is_protected) << "step 20 without p0 and p2, step 10 without p1";
}

TEST_F(ProtectionTest, ReportsOfDifferentMomentsSayNothing) {
  for (const char* pod : {"p0", "p1", "p2"}) hold(pod, {holds(1, 20, {0, 1, 2})});
  EXPECT_TRUE(look().is_protected);
  hold("p2", {holds(1, 40, {2}), holds(1, 30, {0, 2})}, 8);
  EXPECT_TRUE(now().is_unknown);
  hold("p2", {}, 0);  // one without memory
  EXPECT_TRUE(look().is_protected);
  job.pod("p2").report.generation = 0;
  EXPECT_TRUE(now().is_unknown);
}

TEST_F(ProtectionTest, AfterASwapTheRestoredVersionCountsAndNoOlderOne) {
  job.observed.record.generation.number = 2;
  job.observed.record.generation.restore = checkpoint::MemoryVersion{1, 20};
  hold("p0", {holds(1, 20, {0, 2}), holds(1, 10, {0, 1, 2})});
  hold("p1", {});
  hold("p2", {holds(1, 20, {1, 2}), holds(1, 10, {0, 1, 2})});
  EXPECT_FALSE(look().is_protected) << "parts 0 and 1";
  hold("p1", {holds(1, 20, {0, 1})});
  EXPECT_TRUE(look().is_protected);
}

TEST_F(ProtectionTest, ARackFailsAsAWhole) {
  for (const char* pod : {"p0", "p1", "p2"}) hold(pod, {holds(1, 20, {0, 1, 2})});
  for (Member& member : job.observed.record.generation.members) member.rack = "r1";
  EXPECT_FALSE(look().is_protected);
  job.observed.record.generation.members[0].rack = "r2";
  EXPECT_TRUE(look().is_protected);
}

TEST_F(ProtectionTest, WhereThereWillBeNoReplicaItIsSaidWhy) {
  for (const char* pod : {"p0", "p1", "p2"}) hold(pod, {holds(1, 20, {0, 1, 2})});
  for (Member& member : job.observed.record.generation.members) member.rack = "r1";
  EXPECT_NE(look().message.find("no node outside node n0-0's rack r1"), std::string::npos)
      << look().message;
  job.observed.policy.memory_replicas = 0;
  EXPECT_NE(look().message.find("the policy wants no copies"), std::string::npos);
}

}  // namespace
}  // namespace pelton::decide::recovery
