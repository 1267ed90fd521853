// SPDX-License-Identifier: Apache-2.0
#include "agent/valid_text.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace pelton::agent {
namespace {

TEST(ValidText, KeepsWhatIsWellFormedAndReplacesEachByteThatIsNot) {
  for (const char* good : {"", "plain\n", "ä€😀", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(valid_text(good), good);
  }
  EXPECT_EQ(valid_text("a\xFFz"), "a\uFFFDz");
  EXPECT_EQ(valid_text("\xC0\xAF"), "\uFFFD\uFFFD") << "longer than needed";
  EXPECT_EQ(valid_text("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD") << "a surrogate";
  EXPECT_EQ(valid_text("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD") << "above the last";
  EXPECT_EQ(valid_text("cut \xE2\x82"), "cut \uFFFD\uFFFD");
}

TEST(ValidText, MakesOfAnyBytesWhatJsonReads) {
  std::string bytes;
  for (uint32_t i = 0, state = 1; i < 20000; ++i) {
    state = state * 1664525 + 1013904223;
    bytes += static_cast<char>(state >> 24);
  }
  const base::Json text(valid_text(bytes));
  EXPECT_TRUE(base::Json::parse(text.dump()).ok());
}

}  // namespace
}  // namespace pelton::agent
