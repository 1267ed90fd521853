// SPDX-License-Identifier: Apache-2.0
#include "agent/usage_meter.h"

#include <gtest/gtest.h>

#include "agent/process_usage.h"

namespace pelton::agent {
namespace {

using base::Duration;
using base::Instant;

TEST(UsageMeter, TellsARateOnlyOfLooksThatAreFarEnoughApart) {
  const Instant start = Instant::from_unix_ns(1'000'000'000);
  const UsageSample before{.at = start, .cpu_ns = 100};
  EXPECT_EQ(nano_cores(before, {.at = start + Duration::milliseconds(900), .cpu_ns = 500}),
            std::nullopt);
  EXPECT_EQ(nano_cores(before, {.at = start + Duration::seconds(2), .cpu_ns = 3'000'000'100}),
            1'500'000'000);
  EXPECT_EQ(nano_cores(before, {.at = start + Duration::seconds(2), .cpu_ns = 50}), 0)
      << "a counter that went back is no negative load";
}

TEST(ProcessUsage, ReadsTheKernelsText) {
  EXPECT_EQ(cpu_ns_of_stat("7 (a ) b) S 1 7 7 0 -1 4194560 99 0 0 0 3 4 10 20 20 0 1 0 100 1 2"),
            370'000'000);
  EXPECT_EQ(cpu_ns_of_stat("7 (short) S 1"), 0);
  EXPECT_EQ(cpu_ns_of_stat(""), 0);
  EXPECT_EQ(rss_of_status("Name:\tx\nVmRSS:\t    12 kB\nThreads:\t1\n"), 12 * 1024);
  EXPECT_EQ(rss_of_status("Name:\tkthread\n"), 0);
}

}  // namespace
}  // namespace pelton::agent
