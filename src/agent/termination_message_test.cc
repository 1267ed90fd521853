// SPDX-License-Identifier: Apache-2.0
#include "agent/termination_message.h"

#include <gtest/gtest.h>

namespace pelton::agent {
namespace {

TEST(TerminationMessage, FallsBackToTheLastEightyLinesOrTwoThousandBytes) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "l" + std::to_string(i) + "\n";
  const std::string last = fallback_message(text);
  EXPECT_TRUE(last.starts_with("l20\n")) << last;
  EXPECT_TRUE(last.ends_with("l99\n"));
  EXPECT_EQ(fallback_message(std::string(5000, 'x')).size(), 2048u);
  EXPECT_EQ(fallback_message("a\nb"), "a\nb");
  EXPECT_EQ(fallback_message(""), "");
}

}  // namespace
}  // namespace pelton::agent
