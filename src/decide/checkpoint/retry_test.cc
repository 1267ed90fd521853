// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/retry.h"

#include <gtest/gtest.h>

namespace pelton::decide::checkpoint {
namespace {

using base::Duration;

Tried tried(int status, int tries, uint64_t jitter = 0) {
  return {.status = status, .tries = tries, .elapsed = {}, .asked = {}, .jitter = jitter};
}

TEST(Retry, OnlyWhatMayChangeIsTriedAgain) {
  for (const int status : {0, 408, 409, 429, 500, 502, 503, 504}) {
    EXPECT_TRUE(decide_again(tried(status, 1), Duration::minutes(2))) << status;
  }
  for (const int status : {200, 206, 301, 400, 403, 404, 412, 416, 501}) {
    EXPECT_FALSE(decide_again(tried(status, 1), Duration::minutes(2))) << status;
  }
  Tried half = tried(200, 1);
  half.is_transient = true;
  EXPECT_TRUE(decide_again(half, Duration::minutes(2))) << "an error in the text of a 200";
}

TEST(Retry, WaitsLongerEachTimeUpToEightSecondsAndNeverTheSame) {
  const Duration patience = Duration::hours(1);
  EXPECT_EQ(decide_again(tried(500, 1), patience), Duration::milliseconds(50));
  EXPECT_EQ(decide_again(tried(500, 2), patience), Duration::milliseconds(100));
  EXPECT_EQ(decide_again(tried(500, 50), patience), Duration::seconds(4));
  EXPECT_EQ(decide_again(tried(503, 1), patience), Duration::milliseconds(250)) << "SlowDown";
  EXPECT_GT(*decide_again(tried(500, 4, 1000), patience), *decide_again(tried(500, 4), patience));
}

TEST(Retry, EndsWithThePatienceAndWaitsAsLongAsTheServerAsks) {
  Tried late = tried(500, 1);
  late.elapsed = Duration::milliseconds(960);
  EXPECT_FALSE(decide_again(late, Duration::seconds(1)));
  late.elapsed = Duration::milliseconds(900);
  EXPECT_TRUE(decide_again(late, Duration::seconds(1)));
  Tried asked = tried(503, 1);
  asked.asked = Duration::seconds(7);
  EXPECT_EQ(decide_again(asked, Duration::minutes(1)), Duration::seconds(7));
  EXPECT_FALSE(decide_again(asked, Duration::seconds(5))) << "beyond our patience";
}

}  // namespace
}  // namespace pelton::decide::checkpoint
