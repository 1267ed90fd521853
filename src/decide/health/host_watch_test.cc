// SPDX-License-Identifier: Apache-2.0
#include "decide/health/host_watch.h"

#include <gtest/gtest.h>

namespace pelton::decide::health {
namespace {

class HostWatchTest : public testing::Test {
 protected:
  /// After ten seconds, with the clock set by so much, and so many MiB of 10,000 free.
  std::string causes(int64_t set_by_ms, uint64_t free_mib) {
    elapsed_ = elapsed_ + base::Duration::seconds(10);
    set_ = set_ + base::Duration::milliseconds(set_by_ms);
    HostReading reading{base::Instant::from_unix_seconds(1'000) + elapsed_ + set_, elapsed_, {}};
    reading.disks = {{"/data", free_mib << 20, uint64_t{10'000} << 20}};
    std::string all;
    for (last_ = watch_.look(reading, "n"); const NodeFinding& each : last_)
      all += each.cause + " ";
    return all;
  }
  std::vector<NodeFinding> last_;

 private:
  HostWatch watch_;
  base::Duration elapsed_, set_;
};

TEST_F(HostWatchTest, ADiskIsFullOnceUntilThereIsRoomAgain) {
  EXPECT_EQ(causes(0, 5'000), "");
  EXPECT_EQ(causes(0, 99), "DiskFull ");
  EXPECT_EQ(last_[0].device, "/data");
  EXPECT_EQ(causes(0, 50), "");
  EXPECT_EQ(causes(0, 150), "");
  EXPECT_EQ(causes(0, 99), "") << "it was never well in between";
  EXPECT_EQ(causes(0, 200), "");
  EXPECT_EQ(causes(0, 99), "DiskFull ");
}

TEST_F(HostWatchTest, AClockThatIsSetIsToldAndOneThatIsSlewedIsNot) {
  EXPECT_EQ(causes(70'000, 5'000), "") << "nothing is known of before";
  EXPECT_EQ(causes(5, 5'000), "");
  EXPECT_EQ(causes(-5, 5'000), "");
  EXPECT_EQ(causes(3'200, 5'000), "ClockStep ");
  EXPECT_NE(last_[0].detail.find("forward by 3.2 s"), std::string::npos) << last_[0].detail;
  EXPECT_EQ(causes(-600, 5'000), "ClockStep ");
  EXPECT_NE(last_[0].detail.find("back by 0.6 s"), std::string::npos) << last_[0].detail;
  EXPECT_EQ(causes(0, 5'000), "");
}

}  // namespace
}  // namespace pelton::decide::health
