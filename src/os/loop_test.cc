// SPDX-License-Identifier: Apache-2.0
#include "os/loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <thread>

#include "os/log.h"
#include "os/test_world.h"

namespace pelton::os {
namespace {

using base::Duration;

class LoopTest : public RealWorldTest {};

TEST_F(LoopTest, EqualDeadlinesRunInTheOrderOfRegistration) {
  std::string order;
  auto& timers = world().timers;
  timers.after(Duration::milliseconds(2), [&] { order += 'c'; });
  timers.post([&] { order += 'a'; });
  timers.post([&] { order += 'b'; });
  timers.after(Duration::milliseconds(4), [&] { stop(); });
  run();
  EXPECT_EQ(order, "abc");
}

TEST_F(LoopTest, ACancelledTimerDoesNotRunNotEvenWhenDueInTheSameTurn) {
  auto& timers = world().timers;
  bool has_run = false;
  world::Timers::Id second = 0;
  timers.post([&] { timers.cancel(second); });
  second = timers.after(Duration(), [&] { has_run = true; });
  timers.after(Duration::milliseconds(1), [&] { stop(); });
  run();
  EXPECT_FALSE(has_run);
}

TEST_F(LoopTest, AConnectUnderWayDiesWithItsLoop) {
  auto listener = world().network.listen({"127.0.0.1", 0}, [](auto) {}).value();
  for (int i = 0; i < 3; ++i) {
    world().network.connect(listener->address(), Duration::seconds(5),
                            [](auto) { ADD_FAILURE() << "the loop never ran"; });
  }
  listener.reset();
  world_.reset();
}

TEST_F(LoopTest, WhatACallbackPostsDoesNotStarveDescriptors) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Fd read_end(ends[0]), write_end(ends[1]);
  auto& loop = static_cast<Loop&>(world().timers);
  Loop::Watch watch(loop, read_end.get(), [&](uint32_t) { stop(); });
  watch.set(EPOLLIN);
  std::function<void()> forever = [&] { loop.post(forever); };
  loop.post(forever);
  loop.after(Duration::milliseconds(1), [&] { ASSERT_EQ(::write(write_end.get(), "x", 1), 1); });
  run();
}

/// Keeps the processor busy, as a callback that works for long does.
void work(Duration duration) {
  const int64_t end = monotonic_ns() + duration.ns();
  while (monotonic_ns() < end) {
  }
}

TEST_F(LoopTest, MuchThatIsDueDoesNotKeepDescriptorsWaiting) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Fd read_end(ends[0]), write_end(ends[1]);
  auto& loop = static_cast<Loop&>(world().timers);
  int done = 0;
  Loop::Watch watch(loop, read_end.get(), [&](uint32_t) {
    EXPECT_LT(done, 100);
    stop();
  });
  watch.set(EPOLLIN);
  for (int i = 0; i < 200; ++i) {
    loop.post([&] {
      if (done == 0) {
        ASSERT_EQ(::write(write_end.get(), "x", 1), 1);
      }
      ++done;
      work(Duration::milliseconds(2));
    });
  }
  run();
}

TEST_F(LoopTest, MuchThatOtherThreadsHandInDoesNotKeepTimersWaiting) {
  auto& loop = static_cast<Loop&>(world().timers);
  std::string order;
  loop.post([&] {  // in one batch: the loop is here meanwhile
    for (int i = 0; i < 200; ++i) {
      loop.post_from_any_thread([&, i] {
        if (i == 0) loop.post([&] { order += "timer"; });
        work(Duration::milliseconds(2));
        if (i < 150) return;
        order += i == 199 ? "." : "-";
        if (i == 199) stop();
      });
    }
  });
  run();
  EXPECT_TRUE(order.starts_with("timer-")) << order;
  EXPECT_TRUE(order.ends_with("-.")) << "all of it, in its order: " << order;
}

TEST_F(LoopTest, AWatchMayEndItselfAndAnotherThatIsReadyInTheSameTurn) {
  auto& loop = static_cast<Loop&>(world().timers);
  int ends[2][2];
  std::vector<Fd> fds;
  std::vector<std::unique_ptr<Loop::Watch>> watches(2);
  int calls = 0;
  for (auto& pair : ends) {
    ASSERT_EQ(::pipe(pair), 0);
    fds.emplace_back(pair[0]);
    fds.emplace_back(pair[1]);
    ASSERT_EQ(::write(pair[1], "x", 1), 1);
  }
  for (size_t i = 0; i < 2; ++i) {
    watches[i] = std::make_unique<Loop::Watch>(loop, ends[i][0], [&](uint32_t) {
      ++calls;
      watches.clear();
    });
    watches[i]->set(EPOLLIN);
  }
  settle();
  EXPECT_EQ(calls, 1);
}

TEST_F(LoopTest, ThousandsOfCancelledTimeoutsAreForgottenAndTheRestStillRun) {
  auto& timers = world().timers;
  int runs = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto id = timers.after(Duration::hours(1), [] {});
    if (i % 1000 == 0) timers.after(Duration::milliseconds(1), [&] { ++runs; });
    timers.cancel(id);
  }
  settle();
  EXPECT_EQ(runs, 20);
}

TEST_F(LoopTest, WorkOfTheExecutorRunsElsewhereAndIsReportedOnTheLoop) {
  const auto loop_thread = std::this_thread::get_id();
  std::thread::id worker, reporter;
  world().executor.run([&] { worker = std::this_thread::get_id(); },
                       [&] {
                         reporter = std::this_thread::get_id();
                         stop();
                       });
  run();
  EXPECT_NE(worker, loop_thread);
  EXPECT_EQ(reporter, loop_thread);
}

TEST_F(LoopTest, ManyPiecesOfWorkAreEachReportedOnce) {
  int reports = 0;
  for (int i = 0; i < 1000; ++i) {
    world().executor.run([] {},
                         [&] {
                           if (++reports == 1000) stop();
                         });
  }
  run();
  settle();
  EXPECT_EQ(reports, 1000);
}

TEST_F(LoopTest, AStopSignalIsAnEventAndDoesNotEndTheProcess) {
  int seen = 0;
  world_->on_stop_signal([&](int signal) {
    seen = signal;
    stop();
  });
  ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);
  run();
  EXPECT_EQ(seen, SIGTERM);
}

TEST_F(LoopTest, RandomBytesDiffer) {
  EXPECT_NE(world().random.bytes(16), world().random.bytes(16));
  EXPECT_EQ(world().random.uuid().size(), 36u);
}

TEST_F(LoopTest, TheClocksRun) {
  const auto before = world().clock.elapsed();
  settle();
  EXPECT_GT(world().clock.elapsed(), before);
  EXPECT_GT(world().clock.now().unix_seconds(), 1'700'000'000);
}

TEST(LogTest, ATextLineNamesTimeSeverityEventAndFields) {
  const auto line = format_log_line(
      base::Instant::from_unix_seconds(3661), base::Severity::Warning, "node.not_ready",
      base::Json::object({{"node", "node-0"}, {"why", "no lease"}}), false);
  EXPECT_EQ(line, "01:01:01.000 warning node.not_ready node=node-0 why=\"no lease\"\n");
}

}  // namespace
}  // namespace pelton::os
