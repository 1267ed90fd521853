// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/observed_failures.h"

#include <gtest/gtest.h>

namespace pelton::decide::checkpoint {
namespace {

TEST(ObservedFailures, AreATextThatIsNothingElse) {
  EXPECT_EQ(to_text({}), "");
  EXPECT_EQ(*parse_failures(""), ObservedFailures());
  EXPECT_EQ(to_text({86'400, 3, 1}), "86400:3:1");
  EXPECT_EQ(*parse_failures("86400:3:1"), (ObservedFailures{86'400, 3, 1}));
  for (const char* bad : {"1", "::", "1:2", "1:2:", "1:2:3:4", "-1:2:3", "1:-2:3", "1.5:2:3",
                          "1:2:3 ", "a:b:c", "99999999999999999999:1:1", "1000000000000001:1:1"}) {
    const auto parsed = parse_failures(bad);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_NE(parsed.error().message().find("NODE-SECONDS:FAILURES:FAILURES"), std::string::npos);
  }
}

}  // namespace
}  // namespace pelton::decide::checkpoint
