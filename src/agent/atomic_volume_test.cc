// SPDX-License-Identifier: Apache-2.0
#include "agent/atomic_volume.h"

#include <gtest/gtest.h>

#include "os/test_world.h"

namespace pelton::agent {
namespace {

class AtomicVolumeTest : public os::RealWorldTest {
 protected:
  bool write(const std::vector<VolumeFile>& content) {
    // Always the same second: names must differ by what they hold.
    const auto written =
        write_atomic_volume(world().files, path("v"), content, base::Instant::from_unix_ns(0));
    EXPECT_TRUE(written.ok()) << written.status().to_string();
    return written.ok() && *written;
  }
  std::string read(const std::string& name) {
    const auto text = world().files.read(path("v/" + name));
    return text.ok() ? *text : "none";
  }
  std::vector<std::string> names() {
    std::vector<std::string> out;
    const auto entries = world().files.list(path("v"));
    for (const auto& entry : *entries) {
      out.push_back(entry.name.starts_with("..1970_01_01_00_00_00.") ? "TIME" : entry.name);
    }
    return out;
  }
  std::string data() { return *world().files.real_path(path("v/..data")); }
};

TEST_F(AtomicVolumeTest, ShowsEveryFileThroughOneLinkAndMovesItWithTheContent) {
  EXPECT_TRUE(write({{"color", "red", 0644}, {"bin/run", "echo", 0755}, {"bin/stop", "x", 0755}}));
  EXPECT_EQ(names(), (std::vector<std::string>{"TIME", "..data", "bin", "color"}));
  EXPECT_EQ(read("color") + read("bin/run"), "redecho");
  const std::string before = data();
  EXPECT_TRUE(write({{"color", "blue", 0644}, {"shape", "round", 0600}}));
  EXPECT_EQ(names(), (std::vector<std::string>{"TIME", "..data", "color", "shape"}));
  EXPECT_EQ(read("color") + read("shape") + read("bin/run"), "blueroundnone");
  EXPECT_NE(data(), before);
  EXPECT_FALSE(world().files.exists(before));
}

TEST_F(AtomicVolumeTest, TouchesNothingWhereTheContentIsTheSame) {
  EXPECT_TRUE(write({{"color", "red", 0644}}));
  const std::string before = data();
  EXPECT_FALSE(write({{"color", "red", 0644}}));
  EXPECT_EQ(data(), before);
  EXPECT_TRUE(write({{"color", "red", 0600}})) << "another mode is another content";
  EXPECT_TRUE(write({})) << "an optional object that is gone";
  EXPECT_EQ(names(), (std::vector<std::string>{"TIME", "..data"}));
}

TEST_F(AtomicVolumeTest, FinishesWhatWasCutShort) {
  EXPECT_TRUE(write({{"color", "red", 0644}}));
  ASSERT_TRUE(world().files.make_link("nowhere", path("v/..data_tmp")).ok());
  ASSERT_TRUE(world().files.make_directories(path("v/..1970_01_01_00_00_01.dead/half")).ok());
  ASSERT_TRUE(world().files.remove(path("v/color")).ok());
  EXPECT_FALSE(write({{"color", "red", 0644}}));
  EXPECT_EQ(names(), (std::vector<std::string>{"TIME", "..data", "color"}));
  EXPECT_EQ(read("color"), "red");
}

}  // namespace
}  // namespace pelton::agent
