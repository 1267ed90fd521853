// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/holding.h"

#include <gtest/gtest.h>

#include "decide/checkpoint/manifest.h"

namespace pelton::decide::checkpoint {
namespace {

Holding holds(int64_t generation, int64_t step, int writers, std::vector<int> parts) {
  return {{generation, step}, writers, std::move(parts)};
}

TEST(Holding, NamesComeBackAndOthersAreNone) {
  const MemoryVersion version{3, 20};
  EXPECT_EQ(directory_name(version), "step-000000000020-g3");
  EXPECT_EQ(version_in(directory_name(version)), version);
  EXPECT_EQ(version_in(directory_name({1, 1'234'567'890'123'456})),
            (MemoryVersion{1, 1'234'567'890'123'456}));
  for (const char* other : {"step-000000000020-e3", "step-20-g3", "step-000000000020-g",
                            "step-000000000020-g03", "step-g3", "-g3", ".step-000000000020-g3",
                            "step--00000000020-g3", "step-000000000020-g-3"}) {
    EXPECT_FALSE(version_in(other)) << other;
  }
  EXPECT_EQ(writer_in(manifest_name(3)), 3);
  EXPECT_EQ(writer_in("w123456.manifest"), 123456);
  for (const char* other :
       {"w3.manifest", "w00003.data", ".w00003.manifest", "w00003.manifest.remote",
        "w-0003.manifest", "w.manifest", "w99999999999999999999.manifest"}) {
    EXPECT_FALSE(writer_in(other)) << other;
  }
}

TEST(Holding, WhoWroteAPartIsReadFromTheLastBytesOfItsManifest) {
  Manifest manifest;
  manifest.job = "job";
  manifest.writer = 2;
  manifest.writers = 4;
  manifest.file = data_name(2);
  for (int i = 0; i < 500; ++i)
    manifest.tensors.push_back({"t" + std::to_string(i), "float32", 4, {1}});
  const std::string text = seal(to_json(manifest));
  ASSERT_GT(text.size(), kEndBytes);
  const auto author = author_of(std::string_view(text).substr(text.size() - kEndBytes));
  ASSERT_TRUE(author.ok()) << author.error().message();
  EXPECT_EQ(author->writer, 2);
  EXPECT_EQ(author->writers, 4);
  EXPECT_FALSE(author_of(text.substr(0, kEndBytes)).ok());
  EXPECT_FALSE(author_of(R"("writer":4,"writers":4})").ok());
  EXPECT_FALSE(author_of(R"("writer":1,"writers)").ok());
}

TEST(Holding, TheNewestVersionThatAllNodesTogetherHoldIsRestored) {
  // Node 1 had saved step 30 when node 0 had not.
  EXPECT_EQ(newest_complete({{holds(1, 10, 2, {0}), holds(1, 20, 2, {0})},
                             {holds(1, 20, 2, {1}), holds(1, 30, 2, {1})}},
                            {}),
            (MemoryVersion{1, 20}));
  // A later generation began again from step 10 and came to 15.
  EXPECT_EQ(newest_complete({{holds(1, 20, 1, {0}), holds(2, 15, 1, {0})}}, {}),
            (MemoryVersion{2, 15}));
  // A replica is as good as the part itself: node 0 is gone.
  EXPECT_EQ(newest_complete({{holds(1, 20, 2, {0, 1})}}, {}), (MemoryVersion{1, 20}));
}

TEST(Holding, WhatOnlyALostNodeHeldMakesAVersionIncomplete) {
  EXPECT_EQ(newest_complete({{holds(1, 10, 2, {0, 1}), holds(1, 20, 2, {1})}}, {}),
            (MemoryVersion{1, 10}));
  EXPECT_EQ(newest_complete({{holds(1, 20, 2, {1})}}, {}), std::nullopt);
  EXPECT_EQ(newest_complete({}, {}), std::nullopt);
}

TEST(Holding, AVersionThatWasFoundDamagedIsNotTakenAgain) {
  EXPECT_EQ(newest_complete({{holds(1, 10, 1, {0}), holds(1, 20, 1, {0})}}, {{1, 20}}),
            (MemoryVersion{1, 10}));
}

TEST(Holding, NodesThatContradictEachOtherMakeNoVersion) {
  EXPECT_EQ(newest_complete({{holds(1, 20, 1, {0})}, {holds(1, 20, 2, {1})}}, {}), std::nullopt);
  EXPECT_EQ(newest_complete({{holds(1, 20, 2, {0, 7})}}, {}), std::nullopt)
      << "there is no writer 7";
}

}  // namespace
}  // namespace pelton::decide::checkpoint
