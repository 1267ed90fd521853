// SPDX-License-Identifier: Apache-2.0
#include "launch/progress.h"

#include <gtest/gtest.h>

namespace pelton::launch {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(Progress, TimeBelongsToThePhaseThatLasts) {
  Progress progress(0);
  EXPECT_FALSE(progress.has_begun());
  EXPECT_EQ(progress.phase_seconds(kSecond), (std::map<std::string, double>{{"start", 1}}));
  progress.on_beat({2 * kSecond, -1, Phase::Compile});
  progress.on_beat({5 * kSecond, 0, Phase::Step});
  progress.on_beat({6 * kSecond, 0, Phase::Save});
  progress.on_beat({8 * kSecond, 1, Phase::Step});
  EXPECT_EQ(
      progress.phase_seconds(9 * kSecond),
      (std::map<std::string, double>{{"start", 2}, {"compile", 3}, {"step", 2}, {"save", 2}}));
}

TEST(Progress, AStepEndsWithTheNextOneOrWithWhatIsNotTraining) {
  Progress progress(0);
  progress.on_beat({1 * kSecond, 10, Phase::Step});
  progress.on_beat({2 * kSecond, 10, Phase::Collective});
  EXPECT_EQ(progress.last_step(), -1);
  EXPECT_EQ(progress.step(), 10);
  progress.on_beat({3 * kSecond, 10, Phase::Save});
  EXPECT_EQ(progress.first_step(), 10);
  EXPECT_EQ(progress.first_step_ns(), 3 * kSecond);
  progress.on_beat({4 * kSecond, 10, Phase::Step});  // after the save
  progress.on_beat({5 * kSecond, 11, Phase::Step});
  EXPECT_EQ(progress.last_step(), 10);
  EXPECT_EQ(progress.last_step_ns(), 3 * kSecond);
  progress.on_beat({6 * kSecond, -1, Phase::Done});
  EXPECT_EQ(progress.last_step(), 11);
  EXPECT_EQ(progress.last_step_ns(), 6 * kSecond);
  EXPECT_EQ(progress.first_step(), 10);
}

}  // namespace
}  // namespace pelton::launch
