// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/areas.h"

#include <algorithm>

#include "checkpoint/save.h"
#include "os/shared_memory.h"
#include "os/test_world.h"

namespace pelton::checkpoint {
namespace {

constexpr size_t kBytes = 8192;

class AreasTest : public os::RealWorldTest {
 protected:
  std::unique_ptr<Areas> areas(world::SharedMemory& memory, int64_t generation = 1) {
    auto made =
        std::make_unique<Areas>(world().files, memory, Areas::Settings{directory_, 0, generation});
    EXPECT_TRUE(made->adopt().ok());
    return made;
  }
  void save(Areas& areas, int64_t step, int64_t generation = 1) {
    const Areas::Version version{generation, step};
    Areas::Area* const area = areas.next(version);
    ASSERT_NE(area, nullptr);
    const base::Status begun = areas.begin(*area, version, kBytes);
    ASSERT_TRUE(begun.ok()) << begun.to_string();
    std::fill_n(area->region->data(), kBytes, static_cast<char>(step));
    areas.publish(*area, version, {});
  }
  std::string version(int64_t step) const {
    return directory_ + "/" + decide::checkpoint::memory_directory({1, step}) + "/";
  }
  /// What the file of that step holds, where its manifest says that it counts; 0: it does not.
  int held(int64_t step) {
    if (!world().files.exists(version(step) + manifest_name(0))) return 0;
    const auto bytes = world().files.read(version(step) + data_name(0));
    const bool is_whole = bytes.ok() && std::count(bytes->begin(), bytes->end(), bytes->front()) ==
                                            static_cast<ptrdiff_t>(kBytes);
    return is_whole ? bytes->front() : -1;
  }
  /// As an agent does that copies from it.
  void keep(int64_t step) {
    ASSERT_TRUE(world().files.link(version(step) + data_name(0), path("kept")).ok());
  }

  os::OsSharedMemory memory_;
};

TEST_F(AreasTest, TheOlderOfTwoGivesWay) {
  const auto mine = areas(memory_);
  for (int64_t step = 1; step <= 4; ++step) save(*mine, step);
  EXPECT_EQ(held(2), 0);
  EXPECT_EQ(held(3), 3);
  EXPECT_EQ(held(4), 4);
}

TEST_F(AreasTest, WhatAnAgentKeepsIsNotWrittenOver) {
  auto mine = areas(memory_);
  save(*mine, 1);
  keep(1);
  for (int64_t step = 2; step <= 5; ++step) save(*mine, step);
  EXPECT_EQ(held(1), 1) << "also by its own name, so that it can be restored";
  EXPECT_EQ(held(3), 0);
  EXPECT_EQ(held(4), 4);
  EXPECT_EQ(held(5), 5);
  // Nor by a successor, which has more than two files to take over.
  mine = areas(memory_);
  for (int64_t step = 6; step <= 8; ++step) save(*mine, step);
  EXPECT_EQ(held(1), 1);
  EXPECT_EQ(held(8), 8);
  EXPECT_EQ(memory_.names_of(path("kept")), 2U);
}

/// Has room for two files.
class SmallMemory final : public world::SharedMemory {
 public:
  base::Result<std::unique_ptr<world::Region>> map(const std::string& path, size_t size) override {
    if (!path.empty() && names_of(path) == 0 && ++files_ > 2) {
      return base::Status(base::Code::ResourceExhausted, path + ": there is no room");
    }
    return memory_.map(path, size);
  }
  base::Result<std::unique_ptr<world::Region>> map_read_only(const std::string& path) override {
    return memory_.map_read_only(path);
  }
  uint64_t names_of(const std::string& path) override { return memory_.names_of(path); }

 private:
  os::OsSharedMemory memory_;
  int files_ = 0;
};

TEST_F(AreasTest, WhereThereIsNoRoomForAThirdFileTheKeptOneGivesWay) {
  SmallMemory small;
  const auto mine = areas(small);
  save(*mine, 1);
  keep(1);
  for (int64_t step = 2; step <= 4; ++step) save(*mine, step);
  EXPECT_EQ(held(1), 0) << "and nothing says that it is still there";
  EXPECT_EQ(held(3), 3);
  EXPECT_EQ(held(4), 4);
  EXPECT_EQ(mine->take_notice(), "") << "the tier goes on";
}

}  // namespace
}  // namespace pelton::checkpoint
