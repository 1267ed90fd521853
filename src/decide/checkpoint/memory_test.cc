// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/memory.h"

#include <gtest/gtest.h>

namespace pelton::decide::checkpoint {
namespace {

using base::Json;
using Held = std::vector<std::optional<MemoryVersion>>;

TEST(MemoryTier, NamesOfVersionsAreReadAsTheyAreWrittenAndNothingElseIs) {
  const MemoryVersion version{3, 20};
  EXPECT_EQ(memory_directory(version), "step-000000000020-g3");
  EXPECT_EQ(memory_version("step-000000000020-g3"), version);
  for (const char* other :
       {"", "step-", "step-20-g3", "step-000000000020-e3", "step-000000000020-g", "step--1-g3",
        "step-000000000020-g03", "step-000000000020-g3x", "step-000000000020-g-3"}) {
    EXPECT_FALSE(memory_version(other)) << other;
  }
}

TEST(MemoryTier, TheLaterGenerationWinsHoweverFarTheOlderHadCome) {
  EXPECT_GT((MemoryVersion{2, 10}), (MemoryVersion{1, 99}));
  EXPECT_GT((MemoryVersion{2, 11}), (MemoryVersion{2, 10}));
}

TEST(MemoryTier, WhatAGenerationRestoresIsATextThatIsNothingElse) {
  EXPECT_EQ(*parse_restore(""), std::nullopt);
  EXPECT_EQ(*parse_restore(to_text({3, 20})), (MemoryVersion{3, 20}));
  for (const char* bad : {"3", ":", "3:", ":20", "3:20:1", "-3:20", "3:-20", "a:b", "3:20 ",
                          "99999999999999999999:1"}) {
    const auto parsed = parse_restore(bad);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_NE(parsed.error().message().find("GENERATION:STEP"), std::string::npos);
  }
}

TEST(MemoryTier, TheAreaThatIsOverwrittenIsNotTheOneThatSomebodyMayStillWant) {
  const MemoryVersion a{1, 10}, b{1, 20};
  EXPECT_EQ(decide_area({a, std::nullopt}, 1, {}), 1u) << "one that holds nothing";
  EXPECT_EQ(decide_area({b, a}, 1, {}), 1u) << "the older";
  EXPECT_EQ(decide_area({b, a}, 2, b), 1u) << "the older, of the generation before";
  // Step 20 was not complete: the generation went back to 10, which others may still be reading.
  EXPECT_EQ(decide_area({b, a}, 2, a), 0u);
  EXPECT_EQ(decide_area({MemoryVersion{2, 11}, a}, 2, a), 1u) << "there is something newer";
}

TEST(MemoryTier, ALaterDurableStepIsTakenInsteadOfWhatTheRecordNames) {
  EXPECT_TRUE(is_behind({3, 20}, 21));
  EXPECT_FALSE(is_behind({3, 20}, 20)) << "the same step, from the nearer tier";
  EXPECT_FALSE(is_behind({3, 20}, 10));
}

TEST(MemoryTier, AnAgentThatSaysSomethingElseIsNotBelieved) {
  const auto parts = [](const char* text) { return peer_parts(*Json::parse(text)); };
  EXPECT_EQ(*parts(R"({"parts": [0, 3]})"), (std::vector<uint64_t>{0, 3}));
  for (const char* bad : {"{}", R"({"parts": 3})", R"({"parts": [-1]})", R"({"parts": ["a"]})",
                          R"({"parts": [100000]})", R"({"error": "no"})"}) {
    EXPECT_FALSE(parts(bad).ok()) << bad;
  }
  EXPECT_TRUE(peer_fetched(*Json::parse(R"({"done": true})")).ok());
  EXPECT_FALSE(peer_fetched(*Json::parse(R"({"done": false})")).ok());
  EXPECT_EQ(peer_fetched(*Json::parse(R"({"error": "gone"})")).message(), "gone");
}

}  // namespace
}  // namespace pelton::decide::checkpoint
