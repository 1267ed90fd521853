// SPDX-License-Identifier: Apache-2.0
#include "cli/goodput_list.h"

#include <gtest/gtest.h>

namespace pelton::cli {
namespace {

using base::Duration;
using decide::goodput::Category;
using decide::goodput::JobMetrics;
using decide::goodput::JobState;

std::vector<JobMetrics> two_jobs() {
  JobMetrics running;
  running.namespace_name = "ml";
  running.name = "train";
  running.state = JobState::Training;
  running.ranks = running.full_ranks = 8;
  decide::goodput::Report& report = running.report.emplace();
  report.from = report.started = base::Instant::from_unix_seconds(1'790'000'000);
  report.to = report.from + Duration::seconds(100);
  report.breakdown[Category::Productive][""] = Duration::seconds(90);
  report.goodput = report.ettr = 0.9;
  report.accelerator_goodput = 0.8;
  report.interruption_count = 120;
  report.mttr = Duration::seconds(2);
  JobMetrics pending;
  pending.namespace_name = "default";
  pending.name = "b";
  pending.state = JobState::Pending;
  return {pending, running};
}

TEST(GoodputList, HasALineForEachJob) {
  EXPECT_EQ(goodput_table(two_jobs(), true),
            "NAMESPACE   NAME    STATE      RANKS   GOODPUT   OF-ALL   ETTR     INTERRUPTIONS   "
            "MTTR    MTBI   AGE\n"
            "default     b       Pending    0/0     -         -        -        -               "
            "-       -      -\n"
            "ml          train   Training   8/8     90.00%    80.00%   90.00%   120             "
            "2.0 s   -      1m40s\n");
  EXPECT_TRUE(goodput_table(two_jobs(), false).starts_with("NAME    STATE"));
  EXPECT_EQ(goodput_table({}, true), "");
}

TEST(GoodputList, SaysToProgramsWhatOneReportSays) {
  const base::Json list = goodput_list(two_jobs());
  ASSERT_EQ(list["items"].size(), 2u);
  EXPECT_EQ(list["items"][0].dump(), R"({"name":"b","namespace":"default","state":"Pending"})");
  EXPECT_EQ(list["items"][1]["goodputPercent"].as_double(), 90);
  EXPECT_EQ(list["items"][1]["interruptionCount"].as_int(), 120);
  EXPECT_EQ(list["items"][1]["state"].as_string(), "Training");
}

}  // namespace
}  // namespace pelton::cli
