// SPDX-License-Identifier: Apache-2.0
#include "cli/goodput_text.h"

#include <gtest/gtest.h>

namespace pelton::cli {
namespace {

using base::Duration;
using base::Instant;
using decide::goodput::Category;
using decide::goodput::Report;

const GoodputSubject kSubject{"default", "train"};

/// 100 s: 60 productive, a crash, 10 lost and 10 of recovery, 20 productive on half the ranks.
Report example() {
  const Instant from = Instant::from_unix_seconds(1'767'225'600);
  const auto at = [&](int seconds) { return from + Duration::seconds(seconds); };
  decide::goodput::Timeline timeline;
  timeline.from = timeline.started = from;
  timeline.to = at(100);
  timeline.full_width = 8;
  timeline.claims = {{at(0), at(60), Category::Productive, "", 1, 8},
                     {at(60), at(70), Category::WastedProgress, "SIGKILL", 1, 8},
                     {at(70), at(80), Category::InfrastructureRecovery, "SIGKILL", 1, 8},
                     {at(80), at(100), Category::Productive, "", 2, 4}};
  timeline.runs = {{at(0), at(70), 1, true, "SIGKILL", 3, "node-1"},
                   {at(80), at(100), 2, false, "", -1, ""}};
  timeline.placed = {{at(0), at(70)}};
  return decide::goodput::account(timeline);
}

TEST(GoodputText, NamesWhatWasLostToWhat) {
  const std::string text = goodput_text(kSubject, example(), 100);
  for (const char* part :
       {"jobset default/train: goodput 80.00 %, running for 1m40s, since 2026-01-01T00:00:00Z",
        "  productive                 80.0 s   80.00 %  ",
        "wasted progress            10.0 s   10.00 %  ###", "SIGKILL 10.0 s",
        "accelerator goodput 70.00 %   ETTR 80.00 %   scheduling goodput 70.00 %",
        "interruptions 1   MTTR 10.0 s   MTBI 70.0 s   uptime 90.0 s",
        "2026-01-01T00:01:10Z  SIGKILL             3     node-1          10.0 s",
        "behind the ideal line by 20.0 s"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\nin:\n" << text;
  }
  const size_t real = text.find("  real   ");
  ASSERT_NE(real, std::string::npos);
  EXPECT_EQ(text.substr(real + 9, 90), std::string(54, '#') + std::string(9, 'w') +
                                           std::string(9, 'R') + std::string(18, '#'));
  for (const char c : text) EXPECT_TRUE(c == '\n' || (c >= ' ' && c <= '~'));
}

TEST(GoodputText, OfNothingIsStillAReport) {
  const std::string text = goodput_text({"", "empty.log"}, Report(), 10);
  EXPECT_NE(text.find("empty.log: goodput 0.00 %"), std::string::npos) << text;
  EXPECT_NE(text.find("MTTR -   MTBI -"), std::string::npos) << text;
}

TEST(GoodputText, ShortTimesAreShort) {
  EXPECT_EQ(short_time(Duration::milliseconds(340)), "340 ms");
  EXPECT_EQ(short_time(Duration::milliseconds(99'949)), "99.9 s");
  EXPECT_EQ(short_time(Duration::seconds(247)), "4m07s");
  EXPECT_EQ(short_time(Duration::minutes(200)), "3h20m");
  EXPECT_EQ(short_time(Duration::hours(53)), "2d05h");
}

TEST(GoodputHtml, IsOnePageThatFetchesNothingAndThatANameCannotBreak) {
  const std::string page = goodput_html({"default", "</script><b>"}, example());
  EXPECT_EQ(page.find("</script><b>"), std::string::npos);
  EXPECT_NE(page.find("\\u003c/script>"), std::string::npos);
  EXPECT_NE(page.find("prefers-color-scheme: dark"), std::string::npos);
  for (const char* outside : {"src=", "href=", "url(", "@import", "fetch("}) {
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  }
  // Every category has its colour.
  for (int i = 0; i < decide::goodput::kCategories; ++i) {
    const std::string name = category_name(static_cast<Category>(i));
    EXPECT_NE(page.find("--" + name + ": #"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace pelton::cli
