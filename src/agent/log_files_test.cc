// SPDX-License-Identifier: Apache-2.0
#include "agent/log_files.h"

#include "os/test_world.h"

namespace pelton::agent {
namespace {

class LogFilesTest : public os::RealWorldTest {
 protected:
  LogFilesTest() { EXPECT_TRUE(appender_.open().ok()); }
  void append(int from, int to) {
    for (int i = from; i < to; ++i) {
      ASSERT_TRUE(appender_.append("record " + std::to_string(100 + i) + "\n").ok());
    }
  }
  std::string read_all(LogFollower& follower) {
    std::string all;
    for (;;) {
      const auto piece = follower.read(7);  // less than a record
      EXPECT_TRUE(piece.ok());
      if (!piece.ok() || piece->empty()) return all;
      all += *piece;
    }
  }
  static std::string records(int from, int to) {
    std::string out;
    for (int i = from; i < to; ++i) out += "record " + std::to_string(100 + i) + "\n";
    return out;
  }
  const ContainerPaths paths_{directory_};
  LogAppender appender_{world().files, paths_, {.max_bytes = 33, .max_files = 3}};
};

TEST_F(LogFilesTest, AFullLogIsPutAsideWithANewNumberAndTheOldestGoes) {
  append(0, 3);
  EXPECT_TRUE(rotated_logs(world().files, paths_).empty());
  append(3, 4);
  EXPECT_EQ(rotated_logs(world().files, paths_), std::vector<int64_t>{1});
  append(4, 13);
  EXPECT_EQ(rotated_logs(world().files, paths_), (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(*world().files.read(paths_.log()), records(12, 13));
  EXPECT_EQ(*world().files.read(paths_.log() + ".4"), records(9, 12));
}

TEST_F(LogFilesTest, AFollowerGoesThroughRotationsWithoutLossOrRepetition) {
  LogFollower follower(world().files, paths_);
  ASSERT_TRUE(follower.open());
  append(0, 2);
  EXPECT_EQ(read_all(follower), records(0, 2));
  append(2, 8);  // two rotations since
  EXPECT_EQ(read_all(follower), records(2, 8));
  EXPECT_EQ(read_all(follower), "");
  append(8, 9);
  EXPECT_EQ(read_all(follower), records(8, 9));
  append(9, 10);
  EXPECT_EQ(read_all(follower), records(9, 10));
}

TEST_F(LogFilesTest, AFollowerThatWasTooSlowFinishesItsFileAndGoesOnWithTheOldestThatIsLeft) {
  LogFollower follower(world().files, paths_);
  append(0, 1);
  ASSERT_TRUE(follower.open());
  append(1, 13);
  EXPECT_EQ(read_all(follower), records(0, 3) + records(6, 13));
}

TEST_F(LogFilesTest, AShimThatFindsItsLogGoesOnAtItsEnd) {
  append(0, 1);
  LogAppender again(world().files, paths_, {.max_bytes = 33, .max_files = 3});
  ASSERT_TRUE(again.open().ok());
  ASSERT_TRUE(again.append("more\n").ok());
  EXPECT_EQ(*world().files.read(paths_.log()), records(0, 1) + "more\n");
}

}  // namespace
}  // namespace pelton::agent
