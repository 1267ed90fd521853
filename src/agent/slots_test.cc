// SPDX-License-Identifier: Apache-2.0
#include "agent/slots.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sim/sim_world.h"

namespace pelton::agent {
namespace {

class SlotsTest : public testing::Test {
 protected:
  void turn() { sim_.run_for(base::Duration::milliseconds(1)); }
  void ask(char name) {
    slots_->take([this, name](const Slots::Slot& slot) {
      order_ += name;
      held_.push_back(slot);
    });
  }

  sim::SimWorld sim_{1};
  world::Timers& timers_ = sim_.world().timers;
  std::unique_ptr<Slots> slots_ = std::make_unique<Slots>(2, timers_);
  std::vector<Slots::Slot> held_;
  std::string order_;
};

TEST_F(SlotsTest, GoOnInTheOrderOfAskingAsSlotsBecomeFree) {
  for (const char name : {'a', 'b', 'c', 'd'}) ask(name);
  EXPECT_EQ(order_, "") << "never from within";
  turn();
  EXPECT_EQ(order_, "ab");
  held_.erase(held_.begin());
  EXPECT_EQ(order_, "ab") << "not from within a release either";
  turn();
  EXPECT_EQ(order_, "abc");
  held_.clear();
  turn();
  EXPECT_EQ(order_, "abcd");
}

TEST_F(SlotsTest, ASlotThatNobodyKeepsIsFreeAgain) {
  for (int i = 0; i < 5; ++i) slots_->take([this](const Slots::Slot&) { order_ += 'x'; });
  turn();
  EXPECT_EQ(order_, "xxxxx");
}

TEST_F(SlotsTest, ASlotMayOutliveTheRest) {
  ask('a');
  ask('b');
  ask('c');
  turn();
  slots_.reset();
  held_.clear();
  turn();
  EXPECT_EQ(order_, "ab") << "who waited is forgotten";
}

}  // namespace
}  // namespace pelton::agent
