// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/interval.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace pelton::decide::checkpoint {
namespace {

TEST(Interval, IsDalysAndNeverShorterThanTheDrain) {
  // 1 node: the prior's 238 days; 1,000 nodes: 5.71 hours.
  const base::Duration one = mean_time_between({});
  EXPECT_NEAR(static_cast<double>(one.ns()) / 8.64e13, 238.1, 0.1);
  const base::Duration many = mean_time_between({.nodes = 1000});
  EXPECT_NEAR(static_cast<double>(many.ns()) / 3.6e12, 5.714, 0.01);
  // Daly's example region: a save of 5 min with an MTBF of 1 day, sqrt(2 c m) is 120 min.
  const base::Duration day = base::Duration::hours(24);
  const base::Duration interval = decide_interval({base::Duration::minutes(5), {}}, day);
  EXPECT_NEAR(static_cast<double>(interval.ns()) / 6e10, 116.7, 0.3);
  EXPECT_EQ(decide_interval({base::Duration::hours(49), {}}, day), day);
  EXPECT_EQ(decide_interval({base::Duration::minutes(5), base::Duration::hours(9)}, day),
            base::Duration::hours(9));
  // Ten failures seen in 238 node-days outweigh the prior's one.
  EXPECT_LT(mean_time_between({1, 238, 10}) * 5, one);
  EXPECT_EQ(interval_in_steps(base::Duration::seconds(10), base::Duration::seconds(3)), 3);
  EXPECT_EQ(interval_in_steps({}, base::Duration::seconds(3)), 1);
}

TEST(Interval, BothTiersFollowWhatSavesCostAndDurableOnesAreAmongThoseOfMemory) {
  Measured measured{.stall = base::Duration::milliseconds(100),
                    .drain = base::Duration::seconds(20),
                    .step = base::Duration::seconds(1),
                    .nodes = 1000,
                    .has_memory = true};
  // A failure in 20,571 s: sqrt(2 * 0.1 * 20,571) = 64.
  EXPECT_EQ(plan_saves(measured), (SavePlan{64, 64}));
  measured.drain = base::Duration::seconds(100);  // the disk does not keep up
  EXPECT_EQ(plan_saves(measured), (SavePlan{64, 128}));
  measured.has_memory = false;
  EXPECT_EQ(plan_saves(measured), (SavePlan{100, 100}));
  measured.has_memory = true;
  measured.has_durable = false;
  EXPECT_EQ(plan_saves(measured), (SavePlan{64, 64}));
  measured.step = {};
  EXPECT_EQ(plan_saves(measured), (SavePlan{1, 1})) << "nothing is known yet";
}

TEST(Interval, EachTierFollowsTheFailuresThatItIsNeededFor) {
  const Measured measured{.stall = base::Duration::milliseconds(100),
                          .drain = base::Duration::seconds(5),
                          .step = base::Duration::seconds(1),
                          .nodes = 1000,
                          .has_memory = true};
  const int64_t kDay = 86'400;
  const struct {
    ObservedFailures observed;
    SavePlan both, durable_alone, memory_alone;
  } rows[] = {
      {{}, {64, 64}, {64, 64}, {64, 64}},
      // As often as it is known beforehand: nothing changes but how certain it is.
      {{238 * kDay, 1, 1}, {64, 64}, {52, 52}, {64, 64}},
      // Processes alone, 100 in 1,000 node-days: sqrt(2 * 0.1 * 1,059) = 14.6; the disk waits.
      {{1000 * kDay, 100, 0}, {14, 154}, {14, 14}, {14, 14}},
      // Nodes alone: what is durable is in memory too, and more than that is needed for nothing.
      {{1000 * kDay, 0, 100}, {14, 14}, {14, 14}, {146, 146}},
      // Calm for a hundred thousand node-days.
      {{100'000 * kDay, 0, 0}, {1316, 1316}, {1316, 1316}, {1316, 1316}},
  };
  for (const auto& row : rows) {
    Measured now = measured;
    now.observed = row.observed;
    const std::string what = to_text(row.observed);
    EXPECT_EQ(plan_saves(now), row.both)
        << what << " " << plan_saves(now).memory << " " << plan_saves(now).durable;
    now.has_memory = false;
    EXPECT_EQ(plan_saves(now), row.durable_alone) << what << " " << plan_saves(now).durable;
    now.has_memory = true;
    now.has_durable = false;
    EXPECT_EQ(plan_saves(now), row.memory_alone) << what << " " << plan_saves(now).memory;
  }
}

TEST(Interval, MoreFailuresNeverMakeSavesRarerNorMoreCalmMoreFrequent) {
  base::Rng rng(7);
  for (int i = 0; i < 20'000; ++i) {
    const auto some = [&](int64_t most) { return rng.between(0, most - 1); };
    Measured less{
        .stall = base::Duration::nanoseconds(some(10'000'000'000)),
        .drain = base::Duration::nanoseconds(some(100'000'000'000)),
        .step = base::Duration::nanoseconds(some(10'000'000'000)),
        .nodes = static_cast<double>(1 + some(10'000)),
        .has_memory = some(2) == 0,
        .observed = {some(int64_t{1} << some(50)), some(1 << some(20)), some(1 << some(20))}};
    const SavePlan plan = plan_saves(less);
    ASSERT_GE(plan.memory, 1);
    ASSERT_EQ(plan.durable % plan.memory, 0);
    Measured more = less;
    more.observed.durable += 1 + some(1000);
    ASSERT_LE(plan_saves(more).durable, plan.durable) << "by the loss of nodes";
    more = less;
    more.observed.memory += 1 + some(1000);
    ASSERT_LE(plan_saves(more).memory, plan.memory) << "of processes";
    more = less;
    more.observed.node_seconds += some(int64_t{1} << 49);
    ASSERT_GE(plan_saves(more).memory, plan.memory) << "calm";
  }
}

TEST(Interval, WhatWasSeenForeverStaysWithin64Bits) {
  EXPECT_GT(mean_time_between({1, 1e12, 0}), base::Duration::hours(24 * 365 * 200));
}

}  // namespace
}  // namespace pelton::decide::checkpoint
