// SPDX-License-Identifier: Apache-2.0
#include "os/shared_memory.h"

#include <string_view>

#include "os/test_world.h"

namespace pelton::os {
namespace {

class SharedMemoryTest : public RealWorldTest {
 protected:
  OsSharedMemory memory_;
};

TEST_F(SharedMemoryTest, WhatIsWrittenOutlivesTheMappingAndOthersSeeIt) {
  auto region = memory_.map(path("a"), 8192).value();
  region->data()[8191] = 'x';
  auto other = memory_.map_read_only(path("a")).value();
  EXPECT_EQ(other->size(), 8192u);
  EXPECT_EQ(other->data()[8191], 'x');
  region.reset();
  EXPECT_EQ(memory_.map(path("a"), 8192).value()->data()[8191], 'x');
  EXPECT_EQ(memory_.map(path("a"), 4096).value()->size(), 4096u);
  EXPECT_EQ(memory_.map("", 4096).value()->data()[17], 0);
}

TEST_F(SharedMemoryTest, WhatCannotBeHadIsAnErrorThatNamesThePath) {
  EXPECT_EQ(memory_.map_read_only(path("none")).status().code(), base::Code::NotFound);
  const base::Status status = memory_.map(path("big"), size_t{1} << 60).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find(path("big")), std::string::npos) << status.to_string();
}

}  // namespace
}  // namespace pelton::os
