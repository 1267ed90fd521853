// SPDX-License-Identifier: Apache-2.0
// A simulated group of ranks that train in step, with everything that is slow for good reasons and
// with hangs put in at random moments: nobody is called Hung wrongly, and the right one always.
#include "decide/health/rank_watch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "base/rng.h"

namespace pelton::decide::health {
namespace {

using base::Duration;
using base::Instant;
using Kind = Finding::Kind;

constexpr Duration kTick = Duration::milliseconds(10);

/// What a rank does in one stretch of time.
struct Stretch {
  Phase phase;
  Duration left;
  char state = 'R';
  double processor = 1;  ///< share used
  int64_t disk_per_tick = 0;
  bool keeps_lock = false;  ///< the interpreter's, in a function of C
  bool collects = false;    ///< all garbage
};

/// Ranks that train in step. Data, step and collective, and whatever `mix` adds.
class Group {
 public:
  Group(int ranks, uint64_t seed) : rng_(seed), ranks_(static_cast<size_t>(ranks)) {}

  struct Load {
    bool is_mixed = false;     ///< pauses, evaluations, saves, compilations, slow times
    bool marks_phases = true;  ///< else the script says "step" only
    bool ticks = true;         ///< else the interpreter's lock is not known of
    int straggler = -1;
    Duration step = Duration::milliseconds(120);
  };
  Load load;
  enum class Hang : uint8_t { None, Stop, Loop, Block, LoopInC };
  Hang hang = Hang::None;
  int hung = -1;

  void plan(RankWatch& watch) {
    ++step_;
    const int64_t slow = load.is_mixed && (step_ / 250) % 9 == 3 ? 10 : 1;
    const uint64_t event = load.is_mixed ? rng_.below(220) : 999;
    const auto victim = rng_.below(ranks_.size());
    const auto seconds = [&](int64_t from, int64_t to) {
      return Duration::milliseconds(rng_.between(from * 1000, to * 1000));
    };
    const Duration together = seconds(2, 40);
    for (size_t i = 0; i < ranks_.size(); ++i) {
      Rank& rank = ranks_[i];
      rank.todo.clear();
      const auto noise = Duration::milliseconds(rng_.between(0, 30));
      Duration own = (load.step + noise) * slow;
      if (load.straggler == static_cast<int>(i)) own = own * 10;
      rank.todo.push_back({Phase::Data, Duration::milliseconds(10), 'S', 0.02});
      rank.todo.push_back({Phase::Step, own});
      if (event == 0 && i == victim) {
        rank.todo.push_back({Phase::Step, seconds(1, 9), 'R', 1, 0, true, true});
      }
      if (event == 1) rank.todo.push_back({Phase::Eval, together});
      if (event == 2 && i == 0) rank.todo.push_back({Phase::Eval, seconds(3, 50)});
      if (event == 3 && i == 0) {  // onto a disk: written, then synced
        rank.todo.push_back({Phase::Save, seconds(1, 6), 'R', 0.6, 4096, true});
        rank.todo.push_back({Phase::Save, seconds(1, 9) * (rng_.chance(0.3) ? 10 : 1), 'D', 0});
      }
      if (event == 4 && i == 0) rank.todo.push_back({Phase::Save, seconds(2, 40), 'S', 0.03});
      if (event == 5) rank.todo.push_back({Phase::Compile, seconds(20, 90)});
      if (event == 6 && i == 0) rank.todo.push_back({Phase::Compile, seconds(20, 200)});
      if (event == 7) {  // compiles unmarked
        rank.todo.push_back({Phase::Step, seconds(10, 40), 'R', 1, 0, rng_.chance(0.5)});
      }
      if (event == 8 && i == victim) rank.todo.push_back({Phase::Data, seconds(1, 20), 'S', 0.01});
      if (event == 9 && i == victim) {  // pickles or sorts
        rank.todo.push_back({Phase::Step, seconds(1, 3), 'R', 1, 0, true});
      }
      if (event == 10) rank.todo.push_back({Phase::Step, seconds(2, 30), 'R', 1, 0, true});
      if (event == 11 && i == 0 && load.marks_phases) {
        rank.todo.push_back({Phase::Eval, seconds(1, 30), 'R', 1, 0, true});
      }
      rank.todo.push_back({Phase::Collective, Duration::milliseconds(10), 'S', 0.01});
      std::reverse(rank.todo.begin(), rank.todo.end());
      begin(watch, i);
    }
  }

  /// One tick; every tenth looks.
  std::vector<Finding> tick(RankWatch& watch) {
    now = now + kTick;
    bool all_meet = true;
    for (size_t i = 0; i < ranks_.size(); ++i) {
      Rank& rank = ranks_[i];
      const bool is_hung = hang != Hang::None && hung == static_cast<int>(i);
      rank.used = rank.used + kTick / 100 * static_cast<int64_t>(100 * share(rank, is_hung));
      rank.disk += is_hung ? 0 : rank.todo.back().disk_per_tick;
      const bool is_mute =
          is_hung ? hang == Hang::Stop || hang == Hang::LoopInC : rank.todo.back().keeps_lock;
      if (!is_mute && now - rank.ticked >= Duration::milliseconds(250)) rank.ticked = now;
      if (!is_hung && rank.todo.size() > 1) {
        rank.todo.back().left = rank.todo.back().left - kTick;
        if (rank.todo.back().left <= Duration()) {
          rank.todo.pop_back();
          begin(watch, i);
        }
      }
      all_meet = all_meet && !is_hung && rank.todo.size() == 1;
    }
    if (all_meet) plan(watch);
    if (++ticks_ % 10 != 0) return {};
    for (const auto& wanted : watch.wants_evidence(now)) {
      watch.on_evidence(wanted.rank, evidence_of(static_cast<size_t>(wanted.rank)), now);
    }
    return watch.findings(now);
  }

  std::vector<int> numbers() const {
    std::vector<int> all(ranks_.size());
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
    return all;
  }
  Phase phase_at(int rank) const { return ranks_[static_cast<size_t>(rank)].todo.back().phase; }

  Instant now = Instant::from_unix_seconds(1000);

 private:
  struct Rank {
    std::vector<Stretch> todo;  ///< the last is now
    Duration used;
    int64_t disk = 0;
    Instant ticked;
    Phase said = Phase::None;
  };

  void begin(RankWatch& watch, size_t i) {
    Rank& rank = ranks_[i];
    const Phase phase = load.marks_phases ? rank.todo.back().phase : Phase::Step;
    const bool is_new_step = rank.todo.back().phase == Phase::Data && rank.todo.size() > 2;
    if (phase == rank.said && !is_new_step) return;
    rank.said = phase;
    watch.on_record(static_cast<int>(i), phase, step_, now);
  }
  double share(const Rank& rank, bool is_hung) const {
    if (!is_hung) return rank.todo.back().processor;
    return hang == Hang::Loop || hang == Hang::LoopInC ? 1 : 0;
  }
  Evidence evidence_of(size_t i) const {
    const Rank& rank = ranks_[i];
    char state = rank.todo.back().state;
    if (hung == static_cast<int>(i)) {
      if (hang == Hang::Stop) state = 'T';
      if (hang == Hang::Loop || hang == Hang::LoopInC) state = 'R';
      if (hang == Hang::Block) state = 'S';
    }
    Evidence evidence{state, rank.used, rank.disk, 0};
    if (load.ticks) evidence.ticked = rank.ticked;
    evidence.collects_garbage = rank.todo.back().collects;
    return evidence;
  }

  base::Rng rng_;
  std::vector<Rank> ranks_;
  int64_t step_ = -1;
  int64_t ticks_ = 0;
};

/// A group that has trained for a while.
struct Trained {
  Group group;
  RankWatch watch;
  Trained(int ranks, uint64_t seed, Group::Load load, Duration time, bool sees_all = true)
      : group(ranks, seed) {
    group.load = load;
    watch.begin(group.numbers(), group.now, sees_all);
    group.plan(watch);
    run(time);
  }
  /// The findings that were actions, the first of each kind and rank.
  std::vector<Finding> run(Duration time) {
    std::vector<Finding> actions;
    for (const Instant end = group.now + time; group.now < end;) {
      for (const Finding& finding : group.tick(watch)) {
        if (finding.kind == Kind::Suspected) continue;
        const bool is_known =
            std::any_of(actions.begin(), actions.end(), [&](const Finding& known) {
              return known.rank == finding.rank && known.kind == finding.kind;
            });
        if (!is_known) actions.push_back(finding);
      }
    }
    return actions;
  }
};

std::string text_of(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += std::to_string(finding.rank) + " " + finding.cause + ": " + finding.detail + "\n";
  }
  return text;
}

TEST(RankWatch, AnHourOfEverythingSlowMakesNoAction) {
  for (const bool marks_phases : {true, false}) {
    Trained job(8, marks_phases ? 1 : 2, {.is_mixed = true, .marks_phases = marks_phases}, {});
    EXPECT_EQ(text_of(job.run(Duration::minutes(60))), "") << "marks phases: " << marks_phases;
  }
}

TEST(RankWatch, TwoHundredHangsAreNamedAndOnlyTheRightRank) {
  base::Rng rng(7);
  for (int i = 0; i < 200;) {
    Trained job(static_cast<int>(rng.between(2, 8)), rng.next(), {},
                Duration::milliseconds(rng.between(4000, 9000)));
    Group& group = job.group;
    group.hang = static_cast<Group::Hang>(1 + i % 4);
    group.hung = static_cast<int>(rng.below(group.numbers().size()));
    const Instant began = group.now;
    const Duration p99 = job.watch.usual(group.phase_at(group.hung)).quantile(0.99);
    // A loop and a blocked read are in a rank's own work, not where it waits for its peers.
    const Phase phase = group.phase_at(group.hung);
    if (group.hang != Group::Hang::Stop && phase == Phase::Collective) continue;
    ++i;
    std::optional<Instant> suspected, named;
    while (!named && group.now - began < Duration::seconds(phase == Phase::Step ? 65 : 605)) {
      for (const Finding& finding : group.tick(job.watch)) {
        ASSERT_EQ(finding.rank, group.hung) << i << ": " << finding.cause << " " << finding.detail;
        if (!suspected) suspected = group.now;
        if (finding.kind == Kind::Hung) named = group.now;
      }
    }
    ASSERT_TRUE(named) << i;
    EXPECT_LE(*suspected - began, std::max(Duration::seconds(1), p99 * 3)) << i;
    if (group.hang == Group::Hang::Stop) {
      EXPECT_LE(*named - began, Duration::seconds(1)) << i;
    }
    if (group.hang == Group::Hang::LoopInC && phase == Phase::Step) {
      EXPECT_LE(*named - began, Duration::seconds(6)) << i;
    }
  }
}

TEST(RankWatch, AStoppedRankIsNamedThoughItsScriptMarksNothing) {
  Trained job(4, 3, {.marks_phases = false}, Duration::seconds(5), false);
  job.group.hang = Group::Hang::Stop;
  job.group.hung = 2;
  const auto found = job.run(Duration::seconds(1));
  ASSERT_EQ(found.size(), 1u) << text_of(found);
  EXPECT_EQ(found[0].rank, 2);
  EXPECT_EQ(found[0].cause, "Stopped");
  EXPECT_EQ(state_of(found[0].kind), recovery::WorkerState::Hung);
}

TEST(RankWatch, ALoopIsFoundByTheSilenceOfItsPeersWhereNothingIsMarked) {
  Trained job(4, 3, {.marks_phases = false}, Duration::seconds(5));
  job.group.hang = Group::Hang::Loop;
  job.group.hung = 1;
  const auto found = job.run(Duration::seconds(605));
  ASSERT_EQ(found.size(), 1u) << text_of(found);
  EXPECT_EQ(found[0].rank, 1);
  EXPECT_EQ(found[0].cause, "Spinning");
}

TEST(RankWatch, ALoopInCIsNamedByItselfWhereNothingIsMarkedAndNoPeerIsHere) {
  Trained job(1, 3, {.marks_phases = false}, Duration::seconds(5), false);
  job.group.hang = Group::Hang::LoopInC;
  job.group.hung = 0;
  const auto found = job.run(Duration::seconds(6));
  ASSERT_EQ(found.size(), 1u) << text_of(found);
  EXPECT_EQ(found[0].cause, "Spinning");
  EXPECT_EQ(found[0].kind, Kind::Hung);

  Trained older(1, 3, {.marks_phases = false, .ticks = false}, Duration::seconds(5), false);
  older.group.hang = Group::Hang::LoopInC;
  older.group.hung = 0;
  EXPECT_EQ(text_of(older.run(Duration::minutes(30))), "");
}

TEST(RankWatch, OneRankTenTimesSlowerIsAStragglerAndAllAreNot) {
  Trained one(4, 5, {.straggler = 3}, {});
  const auto found = one.run(Duration::seconds(30));
  ASSERT_EQ(found.size(), 1u) << text_of(found);
  EXPECT_EQ(found[0].rank, 3);
  EXPECT_EQ(found[0].kind, Kind::Slow);

  Trained all(4, 5, {}, Duration::seconds(20));
  all.group.load.step = Duration::milliseconds(1200);
  EXPECT_EQ(text_of(all.run(Duration::seconds(120))), "");
}

TEST(RankWatch, AStragglerThatRecoversIsNoneAnyMore) {
  Trained job(4, 6, {.straggler = 1}, Duration::seconds(30));
  job.group.load.straggler = -1;
  job.run(Duration::seconds(10));
  EXPECT_EQ(text_of(job.run(Duration::seconds(10))), "");
}

/// By hand: ranks 0 and 1, which have done `steps` steps of 0.1 s and wait 0.01 s in each.
struct Pair {
  RankWatch watch;
  Instant now = Instant::from_unix_seconds(50);
  explicit Pair(bool sees_all, int steps = 20) {
    watch.begin({0, 1}, now, sees_all);
    for (int step = 0; step < steps; ++step) {
      for (const int rank : {0, 1}) watch.on_record(rank, Phase::Step, step, now);
      now = now + Duration::milliseconds(100);
      for (const int rank : {0, 1}) watch.on_record(rank, Phase::Collective, step, now);
      now = now + Duration::milliseconds(10);
    }
    watch.findings(now);
  }
  std::vector<Finding> last;
  /// Lets time pass with the same evidence from both.
  std::string causes_after(Duration time, const std::function<Evidence(int, Duration)>& evidence) {
    for (Duration passed; passed <= time; passed = passed + Duration::milliseconds(100)) {
      for (const int rank : {0, 1}) watch.on_evidence(rank, evidence(rank, passed), now);
      last = watch.findings(now);
      now = now + Duration::milliseconds(100);
    }
    std::string causes;
    for (const Finding& finding : last) {
      causes += std::to_string(finding.rank) + finding.cause + " ";
    }
    return causes;
  }
};

TEST(RankWatch, RanksThatWaitForOthersElsewhereAreSuspectedAndNoMore) {
  Pair pair(false);
  EXPECT_EQ(pair.causes_after(Duration::minutes(30), [](int, Duration) { return Evidence{'S'}; }),
            "0Late 1Late ");
}

/// Rank 0 is in a step, and rank 1, if it is here at all, waits for it.
std::string causes_of_a_long_step(bool sees_all, bool peer_waits, Evidence first,
                                  Evidence per_second, Duration time = Duration::seconds(100)) {
  Pair pair(sees_all);
  pair.watch.on_record(0, Phase::Step, 20, pair.now);
  if (!peer_waits) pair.watch.remove(1);
  const std::string causes = pair.causes_after(time, [&](int rank, Duration passed) {
    if (rank == 1) return Evidence{'S'};
    first.processor_time = per_second.processor_time / 1000 * passed.ms();
    return first;
  });
  const bool is_hung = !pair.last.empty() && pair.last[0].kind == Kind::Hung;
  return causes + (is_hung ? "Hung" : "");
}

TEST(RankWatch, WhatAPeerElsewhereMayWaitForIsASuspicionWithItsCause) {
  const Evidence idle{'S'}, busy{'R', Duration::seconds(1)}, some{'S', Duration::milliseconds(200)};
  EXPECT_EQ(causes_of_a_long_step(false, false, idle, idle), "0Blocked ");
  EXPECT_EQ(causes_of_a_long_step(false, true, idle, idle), "0Blocked Hung");
  EXPECT_EQ(causes_of_a_long_step(false, false, busy, busy), "0Spinning ");
  EXPECT_EQ(causes_of_a_long_step(true, true, busy, busy), "0Spinning Hung");
  EXPECT_EQ(causes_of_a_long_step(true, true, some, some), "0CostOfWaiting Hung");
  // The last rank of all may write what it has trained for as long as it likes.
  EXPECT_EQ(causes_of_a_long_step(true, false, busy, busy), "0Late ");
}

/// A pod of one rank, alone in a step whose interpreter's lock nobody else has had since it began.
struct Alone {
  RankWatch watch;
  Instant now = Instant::from_unix_seconds(50);
  int64_t step = 0;
  explicit Alone(int steps = 20) {
    watch.begin({0}, now, false);
    for (int i = 0; i < steps; ++i) {
      begin_step();
      now = now + Duration::milliseconds(100);
    }
    begin_step();
  }
  void begin_step() { watch.on_record(0, Phase::Step, step++, now); }
  /// Seconds until it is called Hung; 0: not within two minutes.
  double seconds_until_named(const std::function<Evidence(Duration)>& evidence,
                             Duration give_up = Duration::minutes(2)) {
    const Instant began = now;
    while (now - began < give_up) {
      now = now + Duration::milliseconds(100);
      Evidence given = evidence(now - began);
      given.ticked = began + Duration::milliseconds(given.ticked ? (now - began).ms() : 0);
      watch.on_evidence(0, given, now);
      for (const Finding& finding : watch.findings(now)) {
        if (finding.kind == Kind::Hung) return (now - began).to_seconds();
      }
    }
    return 0;
  }
};

Evidence busy_for(Duration time, int64_t share = 100) {
  return {'R', time / 100 * share};
}

TEST(RankWatch, WhoKeepsTheInterpretersLockIsNamedOnlyIfNothingElseExplainsIt) {
  const auto after = [](const std::function<Evidence(Duration)>& evidence) {
    return Alone().seconds_until_named(evidence);
  };
  EXPECT_NEAR(after([](Duration t) { return busy_for(t); }), 5.1, 0.11);
  // Where others take most of the processor it takes longer.
  EXPECT_NEAR(after([](Duration t) { return busy_for(t, 25); }), 20, 0.5);
  EXPECT_EQ(after([](Duration t) { return busy_for(t, 5); }), 0);
  EXPECT_NEAR(after([](Duration t) {
                Evidence collects = busy_for(t);
                collects.collects_garbage = true;
                return collects;
              }),
              60.1, 0.11);
  EXPECT_EQ(after([](Duration t) {
              Evidence writes = busy_for(t);
              writes.disk_bytes = t.ms() / 2000;
              return writes;
            }),
            0);
  EXPECT_EQ(after([](Duration t) {
              return Evidence{'t', t};  // a debugger's
            }),
            0);
  EXPECT_EQ(after([](Duration t) {
              Evidence ticks = busy_for(t);
              ticks.ticked = Instant();
              return ticks;
            }),
            0);
}

TEST(RankWatch, WhatEndedByItselfIsGivenTwiceItsTime) {
  Alone rank(300);
  const auto busy = [](Duration t) { return busy_for(t); };
  EXPECT_EQ(rank.seconds_until_named(busy, Duration::seconds(4)), 0);
  rank.begin_step();
  EXPECT_NEAR(rank.seconds_until_named(busy), 7.9, 0.21);
}

TEST(RankWatch, WhatComesAgainAtTheSameStepOfTheNextGenerationMayHaveItsReasons) {
  Alone rank;
  const auto busy = [](Duration t) { return busy_for(t); };
  EXPECT_NEAR(rank.seconds_until_named(busy), 5.1, 0.11);
  const int64_t step = rank.step - 1;
  for (const auto& [at, seconds] :
       {std::pair{step, 60.1}, std::pair{step, 120.2}, std::pair{step + 1, 5.1}}) {
    rank.watch.begin({0}, rank.now, false);
    for (rank.step = at - 2; rank.step <= at;) {
      rank.begin_step();
      rank.now = rank.now + Duration::milliseconds(100);
    }
    EXPECT_NEAR(rank.seconds_until_named(busy, Duration::minutes(3)), seconds, 0.31);
  }
}

TEST(RankWatch, WhoIsNotLetRunOrIsDebuggedIsNotBlocked) {
  const Duration time = Duration::seconds(50);
  EXPECT_EQ(causes_of_a_long_step(true, true, {'R'}, {}, time), "0Late ");
  EXPECT_EQ(causes_of_a_long_step(true, true, {'t'}, {}, Duration::minutes(60)), "0Late ");
  EXPECT_EQ(causes_of_a_long_step(true, true, {'S'}, {}, time), "0Blocked Hung");
}

TEST(RankWatch, AFirstStepMayCompileAndTeachesNothing) {
  Pair pair(true);
  pair.watch.begin({0, 1}, pair.now, true);
  const Duration usual = pair.watch.usual(Phase::Step).quantile(1);
  for (const int rank : {0, 1}) pair.watch.on_record(rank, Phase::Step, 0, pair.now);
  pair.watch.on_record(1, Phase::Collective, 0, pair.now + Duration::seconds(5));
  EXPECT_EQ(pair.causes_after(Duration::minutes(10),
                              [](int rank, Duration passed) {
                                return rank == 0 ? Evidence{'R', passed} : Evidence{'S'};
                              }),
            "");
  pair.watch.on_record(0, Phase::Step, 1, pair.now);
  EXPECT_EQ(pair.watch.usual(Phase::Step).quantile(1), usual);
  EXPECT_EQ(pair.causes_after(Duration::seconds(2), [](int, Duration) { return Evidence{'R'}; }),
            "0Late ");
}

TEST(RankWatch, SegmentsWithoutAnswerNameTheRankThatSendsThem) {
  Pair pair(false);
  EXPECT_EQ(pair.causes_after(Duration::seconds(15),
                              [](int rank, Duration passed) {
                                // As the kernel does it: at doubled distances.
                                int64_t again = 0;
                                for (int64_t at = 200; at < passed.ms(); at *= 2) ++again;
                                return Evidence{'S', {}, 0, rank == 1 ? again : 0};
                              }),
            "0Late 1Unanswered ");
}

TEST(RankWatch, ARankWithoutNetworkIsNamedOnceWaitingCostsMoreThanToBeginElsewhere) {
  const auto busy = [](int, Duration passed) { return Evidence{'R', passed}; };
  Pair pair(false);
  pair.watch.on_record(0, Phase::Step, 20, pair.now);
  pair.watch.on_record(1, Phase::Step, 20, pair.now);
  pair.watch.set_down_link(DownLink{"eth0", pair.now + Duration::seconds(1)});
  EXPECT_EQ(pair.causes_after(Duration::milliseconds(5900), busy), "0Late 1Late ");
  pair.watch.set_down_link(std::nullopt);  // a blip
  EXPECT_EQ(pair.causes_after(Duration::seconds(2), busy), "0Late 1Late ");
  pair.watch.set_down_link(DownLink{"eth0", pair.now});
  EXPECT_EQ(pair.causes_after(Duration::seconds(6), busy), "0LinkDown 1LinkDown ");
  // Whoever goes on all the same does not need it.
  pair.watch.on_record(0, Phase::Step, 21, pair.now);
  pair.watch.on_record(0, Phase::Step, 22, pair.now + Duration::milliseconds(100));
  EXPECT_EQ(pair.causes_after(Duration::seconds(6), busy), "1LinkDown ");
}

TEST(RankWatch, ARankThatCannotEvenJoinWithoutNetworkIsNamed) {
  Pair pair(true);
  pair.watch.set_down_link(DownLink{"eth0", pair.now});
  pair.now = pair.now + Duration::seconds(10);
  pair.watch.begin({0, 1}, pair.now, false);
  EXPECT_EQ(pair.causes_after(Duration::seconds(6), [](int, Duration) { return Evidence{'S'}; }),
            "0LinkDown 1LinkDown ");
}

TEST(RankWatch, WhereAllRanksWaitForEachOtherTheOneBehindIsADeadlock) {
  Pair pair(true);
  pair.watch.on_record(0, Phase::Step, 20, pair.now);
  pair.watch.on_record(0, Phase::Collective, 21, pair.now);
  EXPECT_EQ(pair.causes_after(Duration::seconds(35), [](int, Duration) { return Evidence{'S'}; }),
            "0Late 1Deadlock ");
}

TEST(RankWatch, AFirstCompilationMayTakeAnyTimeWhileItWorks) {
  RankWatch watch;
  Instant now = Instant::from_unix_seconds(9);
  watch.begin({0, 1}, now, true);
  watch.on_record(0, Phase::Compile, 0, now);
  watch.on_record(1, Phase::Collective, 0, now);
  for (int second = 0; second < 3600; ++second) {
    now = now + Duration::seconds(1);
    watch.on_evidence(0, {'R', Duration::seconds(second)}, now);
    watch.on_evidence(1, {'S'}, now);
    ASSERT_TRUE(watch.findings(now).empty()) << second;
  }
  for (int second = 0; second < 320; ++second) {  // and then it does nothing any more
    now = now + Duration::seconds(1);
    watch.on_evidence(0, {'S', Duration::seconds(3600)}, now);
    watch.findings(now);
  }
  ASSERT_EQ(watch.findings(now).size(), 1u);
  EXPECT_EQ(watch.findings(now)[0].cause, "Blocked");
}

TEST(RankWatch, TimeInWhichNobodyLookedDoesNotCount) {
  Pair pair(true);
  pair.watch.on_record(0, Phase::Step, 20, pair.now);
  pair.watch.on_evidence(0, {'T'}, pair.now + Duration::milliseconds(300));
  pair.watch.findings(pair.now + Duration::milliseconds(300));
  pair.now = pair.now + Duration::minutes(10);
  pair.watch.on_evidence(0, {'T'}, pair.now);
  EXPECT_TRUE(pair.watch.findings(pair.now).empty());
}

TEST(RankWatch, ASuccessorLearnsFromWhatThePagesStillHold) {
  Pair pair(true, 100);
  EXPECT_EQ(pair.watch.usual(Phase::Step).seen(), 198);  // the first ones teach nothing
  EXPECT_NEAR(pair.watch.usual(Phase::Step).quantile(0.5).to_seconds(), 0.1, 0.0125);
  pair.watch.begin({0, 1}, pair.now, true);
  EXPECT_EQ(pair.watch.usual(Phase::Step).seen(), 198);
}

TEST(Quantiles, AreAtMostAnEighthTooLargeAndNeverTooSmall) {
  base::Rng rng(1);
  for (const int64_t spread : {10LL, 100'000LL, 5'000'000LL, 30'000'000'000LL}) {
    Quantiles quantiles;
    std::vector<int64_t> values;
    for (int i = 0; i < 5000; ++i) {
      values.push_back(rng.between(spread, spread * 20));
      quantiles.add(Duration::nanoseconds(values.back()));
    }
    std::sort(values.begin(), values.end());
    for (const double q : {0.5, 0.99}) {
      const auto exact = static_cast<double>(values[static_cast<size_t>(q * 5000) - 1]);
      const auto got = static_cast<double>(quantiles.quantile(q).ns());
      EXPECT_GE(got, exact);
      EXPECT_LE(got, std::max(exact * 1.126, 1024.0));
    }
  }
}

TEST(Quantiles, ForgetWhatWasUsualLongAgo) {
  Quantiles quantiles;
  EXPECT_EQ(quantiles.quantile(0.99), Duration());
  for (int i = 0; i < 20'000; ++i) quantiles.add(Duration::milliseconds(10));
  for (int i = 0; i < 20'000; ++i) quantiles.add(Duration::milliseconds(100));
  EXPECT_GE(quantiles.quantile(0.5), Duration::milliseconds(100));
  EXPECT_EQ(quantiles.seen(), 40'000);
  quantiles.add(Duration::hours(90));
  EXPECT_EQ(quantiles.quantile(1), Duration::hours(90));
}

}  // namespace
}  // namespace pelton::decide::health
