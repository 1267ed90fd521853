// SPDX-License-Identifier: Apache-2.0
#include "launch/follower.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "base/rng.h"

namespace pelton::launch {
namespace {

using decide::recovery::Generation;
using decide::recovery::PodReport;
using decide::recovery::WorkerState;
using Kind = FollowerAction::Kind;

constexpr base::Instant kNow = base::Instant::from_unix_seconds(1);

world::ExitState exited(int code) {
  return {.code = code, .signal = std::nullopt};
}
world::ExitState killed(int signal) {
  return {.code = std::nullopt, .signal = signal};
}

Generation generation(int64_t number, std::vector<std::pair<std::string, int>> members,
                      Generation::Phase phase = Generation::Phase::Running) {
  Generation made;
  made.number = number;
  made.phase = phase;
  for (const auto& [uid, ranks] : members) {
    decide::recovery::Member member;
    member.pod_uid = uid;
    member.ranks = ranks;
    made.members.push_back(member);
  }
  return made;
}

FollowerAction start(int64_t number, int rank) {
  return {Kind::Start, {number, rank}, 0};
}
FollowerAction signal(int64_t number, int rank, int signal) {
  return {Kind::Signal, {number, rank}, signal};
}
FollowerAction forget(int64_t number, int rank) {
  return {Kind::Forget, {number, rank}, 0};
}
constexpr FollowerAction kAlarm{Kind::Alarm, {}, 0};
FollowerAction finish(int code) {
  return {Kind::Finish, {}, code};
}
using Actions = FollowerActions;

/// Alone, with two workers that run.
class AloneTest : public ::testing::Test {
 protected:
  void begin(bool is_last) {
    EXPECT_EQ(follower_.on_generation(generation(1, {{"me", 2}}), is_last, kNow),
              (Actions{start(1, 0), start(1, 1)}));
    for (const int rank : {0, 1}) EXPECT_EQ(follower_.on_started({1, rank}, kNow), Actions{});
  }
  Actions end(int rank, world::ExitState how) {
    return follower_.on_exit({1, rank}, how, ++ends_, std::nullopt, kNow);
  }
  Actions phase(Generation::Phase phase, bool is_last) {
    return follower_.on_generation(generation(1, {{"me", 2}}, phase), is_last, kNow);
  }
  Follower follower_{{.pod_uid = "me", .ranks = 2}};
  int64_t ends_ = 0;
};

TEST_F(AloneTest, EndsWellWhenAllWorkersEndWell) {
  begin(true);
  EXPECT_EQ(end(1, exited(0)), Actions{});
  EXPECT_EQ(end(0, exited(0)), Actions{});
  EXPECT_EQ(follower_.report().stage, PodReport::Stage::Succeeded);
  EXPECT_EQ(phase(Generation::Phase::Finished, true), Actions{finish(0)});
}

TEST_F(AloneTest, TheLastFailureAsksTheOthersToEndAndIsTheResult) {
  begin(true);
  EXPECT_EQ(end(1, killed(9)), (Actions{signal(1, 0, 15), kAlarm}));
  EXPECT_EQ(follower_.on_grace_over(kNow), Actions{signal(1, 0, 9)});
  EXPECT_EQ(end(0, exited(1)), Actions{});  // what it was stopped with says nothing
  const PodReport report = follower_.report();
  EXPECT_EQ(report.stage, PodReport::Stage::Stopped);
  EXPECT_EQ(report.workers[0].cause, "Ended");
  EXPECT_EQ(report.workers[1].state, WorkerState::Exited);
  EXPECT_EQ(report.workers[1].cause, "SIGKILL");
  EXPECT_EQ(phase(Generation::Phase::Failed, true), Actions{finish(137)});
}

TEST_F(AloneTest, WhereAnotherFollowsTheOthersAreKilledAtOnce) {
  begin(false);
  EXPECT_EQ(end(1, exited(3)), Actions{signal(1, 0, 9)});
  EXPECT_EQ(follower_.on_generation(generation(2, {{"me", 2}}), true, kNow), Actions{});
  EXPECT_EQ(end(0, killed(9)), (Actions{forget(1, 0), forget(1, 1), start(2, 0), start(2, 1)}));
}

TEST_F(AloneTest, WhatIsRestoredIsDecidedAfterTheOldHaveEndedAndBeforeAnybodyIsStarted) {
  begin(false);
  EXPECT_EQ(follower_.report().quiet_before, 1);
  Generation next = generation(2, {{"me", 2}, {"other", 2}});
  next.is_restore_open = true;
  EXPECT_EQ(follower_.on_generation(next, false, kNow),
            (Actions{signal(1, 0, 9), signal(1, 1, 9)}));
  EXPECT_EQ(end(0, killed(9)), Actions{});
  EXPECT_EQ(follower_.report().quiet_before, 1) << "rank 1 may still be saving";
  EXPECT_EQ(end(1, killed(9)), (Actions{forget(1, 0), forget(1, 1)}));
  EXPECT_EQ(follower_.report().quiet_before, 2);
  EXPECT_EQ(follower_.report().generation, 2);
  EXPECT_EQ(follower_.on_generation(next, false, kNow), Actions{}) << "told again";
  Generation closed = next;
  closed.is_restore_open = false;
  closed.restore = decide::checkpoint::MemoryVersion{1, 40};
  EXPECT_EQ(follower_.on_generation(closed, false, kNow), (Actions{start(2, 0), start(2, 1)}));
  EXPECT_EQ(follower_.on_generation(next, false, kNow), Actions{}) << "late: it has begun";
  EXPECT_EQ(follower_.generation()->restore, closed.restore);
}

TEST_F(AloneTest, WhoHasStoppedIsQuietForTheNextGenerationToo) {
  begin(false);
  end(1, exited(3));
  EXPECT_EQ(follower_.report().quiet_before, 1);
  end(0, killed(9));
  EXPECT_EQ(follower_.report().stage, PodReport::Stage::Stopped);
  EXPECT_EQ(follower_.report().quiet_before, 2);
}

TEST_F(AloneTest, ASignalToEndIsPassedOnAndIsTheResult) {
  begin(false);
  EXPECT_EQ(follower_.on_signal(15, kNow), (Actions{signal(1, 0, 15), kAlarm, signal(1, 1, 15)}));
  EXPECT_EQ(end(0, exited(0)), Actions{});
  EXPECT_EQ(end(1, killed(15)), Actions{finish(143)});
}

TEST_F(AloneTest, CtrlCAgainDoesNotWait) {
  begin(false);
  follower_.on_signal(2, kNow);
  EXPECT_EQ(follower_.on_signal(2, kNow), (Actions{signal(1, 0, 9), signal(1, 1, 9)}));
}

TEST_F(AloneTest, AProgramThatIsNotThereHasAShellsExitCode) {
  follower_.on_generation(generation(1, {{"me", 2}}), false, kNow);
  follower_.on_started({1, 0}, kNow);
  EXPECT_EQ(follower_.on_not_started({1, 1}, base::not_found("there is no program x"), kNow),
            Actions{signal(1, 0, 9)});
  EXPECT_EQ(end(0, killed(9)), Actions{finish(127)});
}

TEST_F(AloneTest, AnExceptionIsTheCause) {
  begin(false);
  follower_.on_exit({1, 1}, exited(1), 1, LastWords{"ValueError", "bad lr", "train.py:7"}, kNow);
  const auto report = follower_.report().workers[1];
  EXPECT_EQ(report.state, WorkerState::Raised);
  EXPECT_EQ(report.cause, "ValueError");
  EXPECT_EQ(report.detail, "bad lr (train.py:7)");
}

const Hang kStopped{"Stopped", "stopped by a signal", base::Instant::from_unix_seconds(0)};

TEST_F(AloneTest, AHangIsAFailureAndIsKilledWhileTheOthersAreAskedToEnd) {
  begin(true);
  EXPECT_EQ(follower_.on_hang({1, 1}, kStopped, kNow),
            (Actions{signal(1, 0, 15), kAlarm, signal(1, 1, 9)}));
  EXPECT_EQ(follower_.report().workers[1].state, WorkerState::Hung);
  EXPECT_EQ(end(0, exited(1)), Actions{});
  EXPECT_EQ(end(1, killed(9)), Actions{});
  const PodReport report = follower_.report();
  EXPECT_EQ(report.stage, PodReport::Stage::Stopped);
  EXPECT_EQ(report.workers[0].cause, "Ended");
  EXPECT_EQ(report.workers[1].state, WorkerState::Hung);
  EXPECT_EQ(report.workers[1].cause, "Stopped");
  EXPECT_EQ(report.workers[1].since, kStopped.since);
  EXPECT_EQ(phase(Generation::Phase::Failed, true), Actions{finish(137)});
}

TEST_F(AloneTest, WhoHangsAfterAFailureIsNotToBlame) {
  begin(false);
  EXPECT_EQ(end(0, killed(9)), Actions{signal(1, 1, 9)});
  EXPECT_EQ(follower_.on_hang({1, 1}, kStopped, kNow), Actions{});
  EXPECT_EQ(end(1, killed(9)), Actions{});
  EXPECT_EQ(follower_.report().workers[0].cause, "SIGKILL");
  EXPECT_EQ(follower_.report().workers[1].cause, "Ended");
}

TEST_F(AloneTest, ASuccessorKnowsWhoHung) {
  follower_.restore({1, 0}, true, killed(9), 1, kNow);
  follower_.restore({1, 1}, true, std::nullopt, 0, kNow);
  follower_.restore_hang({1, 1}, kStopped);
  EXPECT_EQ(phase(Generation::Phase::Running, false), Actions{signal(1, 1, 9)});
  EXPECT_EQ(end(1, killed(9)), Actions{});
  EXPECT_EQ(follower_.report().workers[0].cause, "Ended");
  EXPECT_EQ(follower_.report().workers[1].cause, "Stopped");
}

TEST_F(AloneTest, ASuccessorFinishesWhatWasBegun) {
  follower_.restore({1, 0}, true, std::nullopt, 0, kNow);  // rank 1 was not ordered yet
  EXPECT_EQ(follower_.on_generation(generation(1, {{"me", 2}}), false, kNow), Actions{start(1, 1)});
  Follower after_failure({.pod_uid = "me", .ranks = 2});
  after_failure.restore({1, 0}, true, std::nullopt, 0, kNow);
  after_failure.restore({1, 1}, true, exited(7), 1, kNow);
  EXPECT_EQ(after_failure.on_generation(generation(1, {{"me", 2}}), false, kNow),
            Actions{signal(1, 0, 9)});
  EXPECT_EQ(after_failure.on_exit({1, 0}, killed(9), 2, std::nullopt, kNow), Actions{});
  EXPECT_EQ(after_failure.report().workers[0].cause, "Ended");
  EXPECT_EQ(after_failure.report().workers[1].exit_code, 7);
}

// ---- in a job of several pods ----

TEST(Follower, RanksComeFromTheMembershipAndASpareRunsNothing) {
  Follower follower({.pod_uid = "b", .ranks = 2, .is_alone = false});
  EXPECT_EQ(follower.on_generation(generation(1, {{"a", 2}, {"c", 2}}), false, kNow), Actions{});
  EXPECT_EQ(follower.report().stage, PodReport::Stage::Joined);
  EXPECT_EQ(follower.on_generation(generation(2, {{"a", 2}, {"b", 2}}), false, kNow),
            (Actions{start(2, 2), start(2, 3)}));
  for (const int rank : {2, 3}) follower.on_started({2, rank}, kNow);
  // A shrink that leaves it out; what is older is ignored.
  EXPECT_EQ(follower.on_generation(generation(3, {{"a", 2}}), false, kNow),
            (Actions{signal(2, 2, 9), signal(2, 3, 9)}));
  EXPECT_EQ(follower.on_generation(generation(2, {{"a", 2}, {"b", 2}}), false, kNow), Actions{});
  EXPECT_EQ(follower.report().stage, PodReport::Stage::Running) << "they are not gone yet";
  for (const int rank : {2, 3}) follower.on_exit({2, rank}, killed(9), rank, std::nullopt, kNow);
  EXPECT_EQ(follower.report().stage, PodReport::Stage::Joined);
}

TEST(Follower, WaitingEndsTheWorkersAndFailedEndsThePod) {
  Follower follower({.pod_uid = "a", .ranks = 1, .is_alone = false});
  follower.on_generation(generation(1, {{"a", 1}}), false, kNow);
  follower.on_started({1, 0}, kNow);
  EXPECT_EQ(
      follower.on_generation(generation(2, {{"a", 1}}, Generation::Phase::Waiting), false, kNow),
      Actions{signal(1, 0, 9)});
  EXPECT_EQ(follower.report().stage, PodReport::Stage::Running);
  EXPECT_EQ(follower.on_exit({1, 0}, killed(9), 1, std::nullopt, kNow), Actions{forget(1, 0)});
  EXPECT_EQ(follower.report().stage, PodReport::Stage::Stopped);
  EXPECT_EQ(
      follower.on_generation(generation(3, {{"a", 1}}, Generation::Phase::Failed), false, kNow),
      Actions{finish(1)});
}

TEST(Follower, WhatCannotBeStartedIsRefused) {
  Follower follower({.pod_uid = "a", .ranks = 1, .is_alone = false});
  follower.on_generation(generation(1, {{"a", 1}}), false, kNow);
  EXPECT_EQ(follower.on_not_started({1, 0}, base::not_found("no program x"), kNow), Actions{});
  EXPECT_EQ(follower.report().stage, PodReport::Stage::Refused);
  EXPECT_EQ(follower.report().detail, "no program x");
}

TEST(Follower, TheCoordinatorIsThereBeforeTheRanksOfTheFirstMember) {
  Follower follower({.pod_uid = "a", .ranks = 1, .is_alone = false});
  follower.offer_coordinator(true);
  EXPECT_EQ(follower.on_generation(generation(1, {{"a", 1}, {"b", 1}}), false, kNow),
            Actions{start(1, kCoordinator)});
  EXPECT_EQ(follower.on_started({1, kCoordinator}, kNow), Actions{start(1, 0)});
  EXPECT_TRUE(follower.is_coordinated());
  Follower other({.pod_uid = "b", .ranks = 1, .is_alone = false});
  other.offer_coordinator(true);
  EXPECT_EQ(other.on_generation(generation(1, {{"a", 1}, {"b", 1}}), false, kNow),
            Actions{start(1, 1)});
}

// ---- any order of events, and supervisors that die ----

/// An init, and a supervisor that may be killed between any two messages. Orders take time.
class World {
 public:
  explicit World(uint64_t seed) : rng_(seed) { restart(); }

  void run() {
    for (int i = 0; i < 400; ++i) step();
    check_end();
  }

 private:
  struct Process {
    bool is_running = false;  ///< false and no exit: being started
    std::optional<world::ExitState> exit;
    int64_t ended = 0;
  };

  uint64_t draw(uint64_t below) { return rng_.next() % below; }

  void step() {
    switch (draw(9)) {
      case 0:
        if (draw(3) == 0) next_generation();
        break;
      case 1:
        if (draw(4) == 0) restart();
        break;
      case 2:
        if (draw(4) == 0) fail_some();
        break;
      default:
        if (!orders_.empty()) obey();
        break;
    }
  }

  void next_generation() {
    const bool is_member = draw(4) != 0;
    const auto phase = draw(6) == 0 ? Generation::Phase::Waiting : Generation::Phase::Running;
    const int ranks = 1 + static_cast<int>(draw(3));
    newest_ = draw(2) == 0 ? generation(newest_.number + 1, {{"x", 1}, {"y", 1}}, phase)
                           : generation(newest_.number + 1, {{"y", 2}}, phase);
    if (is_member) {
      decide::recovery::Member me;
      me.pod_uid = "me";
      me.ranks = ranks;
      newest_.members.insert(newest_.members.begin() + static_cast<std::ptrdiff_t>(draw(2)), me);
    }
    act(follower_->on_generation(newest_, false, kNow));
    // Late messages of before.
    if (draw(3) == 0 && older_) act(follower_->on_generation(*older_, false, kNow));
    older_ = newest_;
  }

  /// The supervisor dies: orders that init has not read are lost.
  void restart() {
    orders_.clear();
    follower_ = std::make_unique<Follower>(
        Follower::Settings{.pod_uid = "me", .ranks = 2, .is_alone = false});
    follower_->offer_coordinator(draw(2) == 0);
    for (const auto& [id, process] : processes_) {
      follower_->restore(id, process.is_running, process.exit, process.ended, kNow);
    }
    if (newest_.number > 0) act(follower_->on_generation(newest_, false, kNow));
  }

  void act(const FollowerActions& actions) {
    for (const FollowerAction& action : actions) orders_.push_back(action);
  }

  void obey() {
    const FollowerAction order = orders_.front();
    orders_.erase(orders_.begin());
    if (order.kind == Kind::Forget) {
      processes_.erase(order.worker);
    } else if (order.kind == Kind::Signal) {
      const auto found = processes_.find(order.worker);
      if (found != processes_.end() && found->second.is_running) end(order.worker, killed(9));
    } else if (order.kind == Kind::Start) {
      begin(order.worker);
    }
  }

  void begin(WorkerId id) {
    if (processes_.contains(id)) return;  // as init does
    ASSERT_TRUE(started_.insert({id, ++starts_}).second)
        << "twice: " << id.generation << "/" << id.rank;
    for (const auto& [other, process] : processes_) {
      ASSERT_FALSE(process.is_running && other.generation != id.generation)
          << "generation " << other.generation << " still runs when " << id.generation << " begins";
    }
    if (draw(8) == 0) {
      started_.erase(id);
      act(follower_->on_not_started(id, base::unavailable("no memory"), kNow));
      return;
    }
    processes_[id].is_running = true;
    act(follower_->on_started(id, kNow));
  }

  void end(WorkerId id, world::ExitState how) {
    Process& process = processes_.at(id);
    process.is_running = false;
    process.exit = how;
    process.ended = ++ends_;
    act(follower_->on_exit(id, how, process.ended, std::nullopt, kNow));
  }

  void fail_some() {
    std::vector<WorkerId> running;
    for (const auto& [id, process] : processes_) {
      if (process.is_running) running.push_back(id);
    }
    if (!running.empty()) {
      end(running[draw(running.size())],
          draw(2) == 0 ? exited(static_cast<int>(draw(2))) : killed(9));
    }
  }

  /// Left alone, a new generation that lists us begins, whole.
  void check_end() {
    decide::recovery::Member me;
    me.pod_uid = "me";
    me.ranks = 2;
    newest_ = generation(newest_.number + 1, {{"x", 1}});
    newest_.members.push_back(me);
    act(follower_->on_generation(newest_, false, kNow));
    for (int i = 0; i < 100 && !orders_.empty(); ++i) obey();
    const PodReport report = follower_->report();
    if (report.stage == PodReport::Stage::Refused) return;
    EXPECT_EQ(report.stage, PodReport::Stage::Running);
    for (const auto& [id, process] : processes_) {
      EXPECT_TRUE(!process.is_running || id.generation == newest_.number);
    }
    EXPECT_EQ(follower_->running().size(), 2u);
  }

  base::Rng rng_;
  std::unique_ptr<Follower> follower_;
  Generation newest_;
  std::optional<Generation> older_;
  std::vector<FollowerAction> orders_;
  std::map<WorkerId, Process> processes_;
  std::map<WorkerId, int> started_;
  int starts_ = 0;
  int64_t ends_ = 0;
};

// ---- saves before the end ----

TEST_F(AloneTest, OnSigtermItSavesFirstWhereItsWorkersWouldSave) {
  begin(true);
  follower_.offer_save(true);
  EXPECT_EQ(follower_.on_signal(15, kNow), (Actions{{Kind::Save, {}, 0}}));
  EXPECT_EQ(follower_.on_saved(kNow), (Actions{signal(1, 0, 15), kAlarm, signal(1, 1, 15)}));
  EXPECT_EQ(follower_.on_saved(kNow), Actions{}) << "once";
  end(0, killed(15));
  EXPECT_EQ(end(1, killed(15)), Actions{finish(143)});
}

TEST_F(AloneTest, SaidTwiceOrByCtrlCItIsMeantAtOnce) {
  begin(true);
  follower_.offer_save(true);
  follower_.on_signal(15, kNow);
  EXPECT_EQ(follower_.on_signal(15, kNow), (Actions{signal(1, 0, 15), kAlarm, signal(1, 1, 15)}));
}

TEST_F(AloneTest, CtrlCSavesNothing) {
  begin(true);
  follower_.offer_save(true);
  EXPECT_EQ(follower_.on_signal(2, kNow), (Actions{signal(1, 0, 2), kAlarm, signal(1, 1, 2)}));
}

TEST_F(AloneTest, AWorkerThatFailsWhileItIsToSaveBeginsNothingAnew) {
  begin(false);
  follower_.offer_save(true);
  follower_.on_signal(15, kNow);
  EXPECT_EQ(end(0, exited(1)), (Actions{signal(1, 1, 15), kAlarm}));
  EXPECT_EQ(end(1, killed(15)), Actions{finish(143)});
}

// ---- health checks ----

class CheckedTest : public AloneTest {
 protected:
  CheckedTest() { follower_ = Follower({.pod_uid = "me", .ranks = 2, .has_check = true}); }
};

TEST_F(CheckedTest, NoWorkerStartsBeforeTheCheckOfItsGenerationHasPassed) {
  EXPECT_EQ(follower_.on_generation(generation(1, {{"me", 2}}), false, kNow),
            (Actions{{Kind::Check, {1, 0}, 0}}));
  EXPECT_EQ(follower_.on_generation(generation(1, {{"me", 2}}), false, kNow), Actions{}) << "once";
  EXPECT_EQ(follower_.on_checked(1, base::ok(), kNow), (Actions{start(1, 0), start(1, 1)}));
  follower_.on_started({1, 0}, kNow);
  follower_.on_started({1, 1}, kNow);
  end(0, exited(1));
  end(1, killed(9));
  const Actions again = follower_.on_generation(generation(2, {{"me", 2}}), false, kNow);
  EXPECT_EQ(again.back(), (FollowerAction{Kind::Check, {2, 0}, 0})) << "a failure makes suspicious";
}

TEST_F(CheckedTest, AloneItEndsWhereItsNodeIsUnfit) {
  follower_.on_generation(generation(1, {{"me", 2}}), false, kNow);
  EXPECT_EQ(follower_.on_checked(1, base::unavailable("no GPU"), kNow), Actions{finish(126)});
}

TEST(Checked, APodOnAnUnfitNodeRefusesUntilAnotherCheckPasses) {
  Follower follower({.pod_uid = "me", .ranks = 1, .is_alone = false, .has_check = true});
  EXPECT_EQ(follower.check_early(), (Actions{{Kind::Check, {0, 0}, 0}}));
  EXPECT_EQ(follower.on_checked(0, base::unavailable("no GPU"), kNow), Actions{});
  EXPECT_EQ(follower.report().stage, PodReport::Stage::Refused) << "no spare to be taken";
  EXPECT_EQ(follower.on_generation(generation(3, {{"me", 1}}), false, kNow),
            (Actions{{Kind::Check, {3, 0}, 0}}));
  EXPECT_EQ(follower.report().stage, PodReport::Stage::Running);
  EXPECT_EQ(follower.on_checked(0, base::ok(), kNow), Actions{}) << "of a check that is over";
  EXPECT_EQ(follower.on_checked(3, base::unavailable("no GPU"), kNow), Actions{});
  const PodReport report = follower.report();
  EXPECT_EQ(report.stage, PodReport::Stage::Refused);
  EXPECT_EQ(report.cause, "HealthCheck");
  EXPECT_EQ(report.detail, "no GPU");
  EXPECT_EQ(follower.on_generation(generation(4, {{"me", 1}}), false, kNow),
            (Actions{{Kind::Check, {4, 0}, 0}}));
  EXPECT_EQ(follower.on_checked(4, base::ok(), kNow), Actions{start(4, 0)});
}

TEST(Checked, ASuccessorFindsWorkersAndChecksNothing) {
  Follower follower({.pod_uid = "me", .ranks = 1, .has_check = true});
  follower.restore({2, 0}, true, {}, 0, kNow);
  EXPECT_EQ(follower.on_generation(generation(2, {{"me", 1}}), false, kNow), Actions{});
  EXPECT_EQ(follower.report().stage, PodReport::Stage::Running);
}

TEST_F(AloneTest, WhoHasRaisedAndDoesNotEndIsKilledAndSaysWhat) {
  begin(false);
  EXPECT_EQ(follower_.on_hang({1, 1}, {"SystemExit", "sys.exit(3)", kNow, true}, kNow),
            (Actions{signal(1, 0, 9), signal(1, 1, 9)}));
  end(0, killed(9));
  end(1, killed(9));
  const PodReport report = follower_.report();
  EXPECT_EQ(report.workers[1].state, WorkerState::Raised);
  EXPECT_EQ(report.workers[1].cause, "SystemExit");
  EXPECT_EQ(phase(Generation::Phase::Failed, true), Actions{finish(1)});
}

TEST(Follower, NeverTwoOfOneRankNorTwoGenerationsAtOnceInAnyOrderOfEvents) {
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World(seed).run();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace pelton::launch
