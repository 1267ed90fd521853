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
  void hold(const std::string& pod, std::vector<Holding> held) {
    job.pod(pod).report.held = std::move(held);
  }
  std::optional<Protection> look() const { return protection_of(job.observed, job.generation()); }
  TestJob job{3};
};

TEST_F(ProtectionTest, NothingInMemoryIsNothingToProtect) {
  EXPECT_FALSE(look());
  hold("p0", {holds(0, 10, {0, 1, 2})});  // of another time, and nobody restored it
  EXPECT_FALSE(look());
}

TEST_F(ProtectionTest, EachPartHasToLieOnTwoNodes) {
  hold("p0", {holds(1, 20, {0}), holds(1, 10, {0, 2})});
  hold("p1", {holds(1, 20, {1}), holds(1, 10, {0, 1})});
  hold("p2", {holds(1, 20, {2})});
  ASSERT_TRUE(look());
  EXPECT_FALSE(look()->is_protected);
  EXPECT_EQ(look()->reason, "Unprotected");
  EXPECT_EQ(look()->message, "1 of 3 parts of the checkpoints in memory lie on one node only");
  // Said a moment later, when the others were further on.
  hold("p2", {holds(1, 30, {2}), holds(1, 20, {1, 2})});
  EXPECT_TRUE(look()->is_protected);
}

TEST_F(ProtectionTest, AfterASwapTheRestoredVersionCountsAndNoOlderOne) {
  job.observed.record.generation.number = 2;
  job.observed.record.generation.restore = checkpoint::MemoryVersion{1, 20};
  hold("p0", {holds(1, 20, {0, 2}), holds(1, 10, {0, 1, 2})});
  hold("p1", {});
  hold("p2", {holds(1, 20, {1, 2}), holds(1, 10, {0, 1, 2})});
  EXPECT_FALSE(look()->is_protected) << "parts 0 and 1";
  hold("p1", {holds(1, 20, {0, 1})});
  EXPECT_TRUE(look()->is_protected);
}

TEST_F(ProtectionTest, WhereThereWillBeNoReplicaItIsSaidWhy) {
  hold("p0", {holds(1, 20, {0})});
  for (Member& member : job.observed.record.generation.members) member.rack = "r1";
  EXPECT_NE(look()->message.find("no node outside node n0-0's rack r1"), std::string::npos)
      << look()->message;
  job.observed.policy.memory_replicas = 0;
  EXPECT_NE(look()->message.find("spec.memoryReplicas of the policy is 0"), std::string::npos);
}

}  // namespace
}  // namespace pelton::decide::recovery
