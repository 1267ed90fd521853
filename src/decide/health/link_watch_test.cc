// SPDX-License-Identifier: Apache-2.0
#include "decide/health/link_watch.h"

#include <gtest/gtest.h>

namespace pelton::decide::health {
namespace {

base::Instant at(int64_t seconds) {
  return base::Instant() + base::Duration::seconds(seconds);
}

TEST(LinkWatchTest, SaysSinceWhenALinkIsDownUntilItIsUpAgain) {
  LinkWatch watch;
  watch.look({{"eth0", true}, {"eth1", true}}, at(1));
  EXPECT_EQ(watch.down(), std::nullopt);
  watch.look({{"eth0", true}, {"eth1", false}}, at(2));
  watch.look({{"eth0", false}, {"eth1", false}}, at(3));
  EXPECT_EQ(watch.down(), (DownLink{"eth1", at(2)}));
  watch.look({{"eth0", false}, {"eth1", true}}, at(4));
  EXPECT_EQ(watch.down(), (DownLink{"eth0", at(3)}));
  watch.look({{"eth0", true}, {"eth1", true}}, at(5));
  EXPECT_EQ(watch.down(), std::nullopt);
}

TEST(LinkWatchTest, ExpectsNothingOfALinkThatNeverWasUpBesideOneThatIs) {
  LinkWatch watch;
  watch.look({{"docker0", false}, {"eth0", true}}, at(1));
  EXPECT_EQ(watch.down(), std::nullopt);
}

TEST(LinkWatchTest, KnowsOfAPodWithoutAnyLinkThatItIsCutOffThoughItNeverSawOneUp) {
  LinkWatch watch;
  watch.look({{"eth0", false}}, at(1));
  EXPECT_EQ(watch.down(), (DownLink{"eth0", at(1)}));
}

TEST(LinkWatchTest, MissesALinkThatIsGone) {
  LinkWatch watch;
  watch.look({{"eth0", true}}, at(1));
  watch.look({}, at(2));
  EXPECT_EQ(watch.down(), (DownLink{"eth0", at(2)}));
}

TEST(LinkWatchTest, HasNothingToSayWhereThereNeverWasALink) {
  LinkWatch watch;
  watch.look({}, at(1));
  EXPECT_EQ(watch.down(), std::nullopt);
}

}  // namespace
}  // namespace pelton::decide::health
