// SPDX-License-Identifier: Apache-2.0
// Every instant of a job belongs to one category, and the sums are what one counts by hand.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "decide/goodput/event_log.h"
#include "decide/goodput/history.h"
#include "decide/goodput/report.h"

namespace pelton::decide::goodput {
namespace {

using base::Duration;
using base::Instant;
using base::Json;
using Phase = recovery::Generation::Phase;

Instant at(double seconds) {
  return Instant::from_unix_seconds(1'700'000'000) +
         Duration::milliseconds(std::llround(seconds * 1000));
}

/// "PRODUCTIVE 10, OTHER 2.5"
std::string breakdown_of(const Report& report) {
  std::string text;
  for (int i = 0; i < kCategories; ++i) {
    const Duration time = report.time_of(static_cast<Category>(i));
    if (time == Duration()) continue;
    if (!text.empty()) text += ", ";
    text += fmt::format("{} {:g}", category_name(static_cast<Category>(i)),
                        std::round(time.to_seconds() * 1000) / 1000);
  }
  return text;
}

void expect_exact(const Report& report) {
  Duration sum;
  Instant end = report.from;
  for (const Segment& segment : report.segments) {
    ASSERT_EQ(segment.from, end);
    ASSERT_LT(segment.from, segment.to);
    sum = sum + (segment.to - segment.from);
    end = segment.to;
  }
  ASSERT_EQ(end, report.to);
  Duration by_category;
  for (int i = 0; i < kCategories; ++i) {
    by_category = by_category + report.time_of(static_cast<Category>(i));
  }
  ASSERT_EQ(sum, report.wall());
  ASSERT_EQ(by_category, report.wall());
  ASSERT_LE(report.goodput, 1.0);
  ASSERT_LE(report.accelerator_goodput, report.goodput + 1e-12);
  ASSERT_LE(report.scheduling_goodput, 1.0);
  ASSERT_LE(report.uptime, report.wall());
}

TEST(Partition, GivesEachInstantToTheClaimOfHighestPrecedence) {
  const std::vector<Segment> segments = partition(at(0), at(10),
                                                  {{at(1), at(8), Category::Productive},
                                                   {at(2), at(4), Category::CheckpointSave},
                                                   {at(3), at(6), Category::WastedProgress},
                                                   {at(7), at(99), Category::Other, "x"}});
  std::string text;
  for (const Segment& segment : segments) {
    text +=
        fmt::format("{}:{} ", (segment.to - at(0)).to_seconds(), category_label(segment.category));
  }
  EXPECT_EQ(text, "1:other 2:productive 3:saving 6:wasted progress 8:productive 10:other ");
}

TEST(Partition, OfAnyClaimsHasNoGapAndNoOverlap) {
  base::Rng rng(3);
  for (int round = 0; round < 300; ++round) {
    Timeline timeline;
    timeline.from = timeline.started = at(0);
    timeline.to = at(100);
    for (int64_t i = rng.between(0, 30); i > 0; --i) {
      const Instant from =
          at(0) + Duration::nanoseconds(rng.between(-5'000'000'000, 105'000'000'000));
      timeline.claims.push_back(
          {from, from + Duration::nanoseconds(rng.between(-10, 30'000'000'000)),
           static_cast<Category>(rng.below(kCategories)), rng.chance(0.5) ? "a" : ""});
    }
    expect_exact(account(timeline));
  }
}

Entry entry(int64_t number, double began, double ended, int width = 4) {
  Entry entry;
  entry.number = number;
  entry.began = at(began);
  if (ended > 0) entry.ended = at(ended);
  entry.width = width;
  entry.full_width = 4;
  return entry;
}

void steps(Entry& entry, int64_t first, double first_at, int64_t last, double last_at) {
  entry.first_step = first;
  entry.last_step = last;
  entry.first_step_at = at(first_at);
  entry.last_step_at = at(last_at);
}

void fails(Entry& entry, const char* cause, double when) {
  entry.cause = cause;
  entry.failed_at = at(when);
  entry.rank = 2;
  entry.node = "node-1";
}

TEST(History, OfACrashAndARestartInPlaceIsCountedByHand) {
  // Ten steps of 1 s from 5; the eighth is the last saved; killed half a step later.
  Entry first = entry(1, 1, 16);
  steps(first, 0, 6, 9, 15);
  first.phase_seconds = {{"start", 1}, {"compile", 2}, {"step", 8}, {"collective", 2}};
  fails(first, "SIGKILL", 15.5);
  Entry second = entry(2, 16, 0);
  steps(second, 8, 18, 19, 29);
  second.phase_seconds = {{"restore", 0.5}, {"step", 12}};
  const auto timeline = timeline_of({first, second}, at(0), at(29));
  ASSERT_TRUE(timeline.ok());
  const Report report = account(*timeline);
  expect_exact(report);
  EXPECT_EQ(breakdown_of(report),
            "WASTED_PROGRESS_FROM_DISRUPTION 2.5, UNPRODUCTIVE_CHECKPOINT_RESTORE_TIME 0.5, "
            "TPU_INITIALIZATION 2, PROGRAM_STARTUP 2, PRODUCTIVE 20, "
            "INFRASTRUCTURE_RECOVERY_FROM_DISRUPTION 1, OTHER 1");
  EXPECT_DOUBLE_EQ(report.goodput, 20.0 / 28);
  EXPECT_DOUBLE_EQ(report.ettr, 20.0 / 29);
  ASSERT_EQ(report.interruptions.size(), 1u);
  EXPECT_EQ(report.interruptions[0].cause, "SIGKILL");
  EXPECT_EQ(report.interruptions[0].node, "node-1");
  EXPECT_EQ(report.mttr, Duration::milliseconds(1500));    // 15.5 to 17, when step 8 began again
  EXPECT_EQ(report.mtbi, Duration::milliseconds(10'500));  // 5 to 15.5
  EXPECT_EQ(report.uptime, Duration::milliseconds(22'500));
  EXPECT_DOUBLE_EQ(report.scheduling_goodput, (14.5 + 13) / 29);
}

TEST(History, OfShrinkWaitAndGrowUsesTheElasticCategories) {
  Entry full = entry(1, 0, 11);
  steps(full, 0, 1, 9, 10);
  fails(full, "NodeLost", 10);
  Entry waiting = entry(2, 11, 20, 0);
  waiting.phase = Phase::Waiting;
  Entry narrow = entry(3, 20, 35, 2);
  steps(narrow, 10, 23, 19, 32);
  narrow.phase_seconds = {{"compile", 1}, {"restore", 0.5}};
  Entry grown = entry(4, 35, 47);
  steps(grown, 20, 37, 29, 46);
  grown.phase = Phase::Finished;
  const auto timeline = timeline_of({full, waiting, narrow, grown}, at(0), at(1000));
  ASSERT_TRUE(timeline.ok());
  const Report report = account(*timeline);
  expect_exact(report);
  EXPECT_EQ(breakdown_of(report),
            "ELASTIC_SLICE_DOWN 9, ELASTIC_SCALE_UP 3, ELASTIC_REINITIALIZATION 2.5, "
            "UNPRODUCTIVE_CHECKPOINT_RESTORE_TIME 0.5, PRODUCTIVE 30, "
            "INFRASTRUCTURE_RECOVERY_FROM_DISRUPTION 1, OTHER 1");
  EXPECT_TRUE(report.is_over);
  EXPECT_DOUBLE_EQ(report.goodput, 30.0 / 47);
  EXPECT_DOUBLE_EQ(report.accelerator_goodput, 25.0 / 47);
  EXPECT_EQ(report.mttr, Duration::seconds(12));  // 10 to 22; to grow is no interruption
  EXPECT_EQ(report.times_between_interruptions.size(), 1u);
}

TEST(History, SavesAreTakenFromTheStepsAndAFailedStartLengthensTheRecovery) {
  Entry first = entry(1, 0, 102);
  steps(first, 0, 1, 99, 100);
  first.phase_seconds = {{"save", 20}, {"eval", 5}, {"data", 0.5}};
  fails(first, "Hung", 101);
  Entry broken = entry(2, 102, 110);
  fails(broken, "ValueError", 109);
  Entry third = entry(3, 110, 0);
  steps(third, 100, 121, 100, 121);
  third.phase_seconds = {{"step", 1}};
  const auto timeline = timeline_of({first, broken, third}, Instant(), at(121));
  ASSERT_TRUE(timeline.ok());
  const Report report = account(*timeline);
  expect_exact(report);
  EXPECT_EQ(report.time_of(Category::CheckpointSave), Duration::seconds(20));
  EXPECT_EQ(report.breakdown.at(Category::Custom).at("eval"), Duration::seconds(5));
  EXPECT_EQ(report.time_of(Category::WastedProgress), Duration::seconds(1));
  ASSERT_EQ(report.times_to_recover.size(), 1u);
  // 101 to 121, less a step as long as they were: 73.5 s by 99.
  EXPECT_NEAR(report.times_to_recover[0].to_seconds(), 20 - 73.5 / 99, 1e-6);
}

TEST(History, OfContradictoryInstantsIsStillExact) {
  base::Rng rng(11);
  for (int round = 0; round < 500; ++round) {
    std::vector<Entry> entries;
    for (int64_t i = 1; i <= rng.between(1, 12); ++i) {
      const auto time = [&] { return static_cast<double>(rng.between(-20, 400)) / 4; };
      Entry next = entry(i, time(), rng.chance(0.8) ? time() : 0, static_cast<int>(rng.below(6)));
      if (rng.chance(0.2)) next.phase = static_cast<Phase>(rng.below(4));
      if (rng.chance(0.7)) steps(next, rng.between(-2, 30), time(), rng.between(-2, 60), time());
      if (rng.chance(0.5)) fails(next, "X", time());
      for (const char* phase : {"start", "compile", "restore", "save", "eval", "data", "step"}) {
        if (rng.chance(0.4)) next.phase_seconds[phase] = time();
      }
      entries.push_back(next);
    }
    const auto timeline = timeline_of(entries, rng.chance(0.5) ? at(-30) : Instant(), at(100));
    ASSERT_TRUE(timeline.ok());
    expect_exact(account(*timeline));
    for (const auto& run : timeline->runs) ASSERT_LE(run.from, run.to);
  }
}

TEST(History, ComesFromTheStatusAndTheReportsOfThePods) {
  const auto record = Json::parse(R"({"name":"train","fullWorldSize":4,
    "generation":{"number":2,"phase":"Running","began":"2026-01-01T00:00:16Z",
                  "members":[{"podUID":"a","ranks":2},{"podUID":"b","ranks":2}]},
    "history":[{"number":1,"phase":"Running","began":"2026-01-01T00:00:01Z",
      "ended":"2026-01-01T00:00:16Z","worldSize":4,"fullWorldSize":4,"cause":"SIGKILL","rank":3,
      "failedAt":"2026-01-01T00:00:15.5Z","firstStep":0,"lastStep":9,
      "firstStepAt":"2026-01-01T00:00:06Z","lastStepAt":"2026-01-01T00:00:15Z",
      "phaseSeconds":{"compile":2}}]})");
  ASSERT_TRUE(record.ok());
  recovery::PodReport slow, other;
  slow.generation = other.generation = 2;
  slow.first_step = other.first_step = 8;
  slow.last_step = 19;
  other.last_step = 20;
  slow.phase_seconds = {{"save", 2}};
  const auto entries = entries_of(*record, {other, slow});
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].cause, "SIGKILL");
  EXPECT_EQ(entries[0].phase_seconds.at("compile"), 2);
  EXPECT_EQ(entries[1].width, 4);
  EXPECT_EQ(entries[1].full_width, 4);
  EXPECT_EQ(entries[1].last_step, 19);
  EXPECT_EQ(entries[1].phase_seconds.at("save"), 2);
  EXPECT_FALSE(timeline_of({}, at(0), at(1)).ok());
}

std::string line(std::initializer_list<std::pair<std::string_view, Json>> members) {
  return Json::object(members).dump() + "\n";
}

TEST(EventLog, OfMlGoodputMeasurementIsCountedAsThere) {
  std::string log = line({{"job_name", "j"}, {"job_start_time", 1000.0}}) +
                    line({{"tpu_init_start_time", 1000.0}}) + line({{"tpu_init_end_time", 1003.0}});
  const auto step = [&](int number, double when) {
    log += line({{"step_count", number}, {"step_start_time", when}});
  };
  step(0, 1005);  // the first takes 4, the others 1
  for (int i = 1; i < 6; ++i) step(i, 1008.0 + i);
  log += line({{"job_start_time", 1020.0}});
  for (int i = 4; i < 8; ++i) step(i, 1021.0 + i - 4);
  log += line({{"job_end_time", 1025.0}});
  const auto timeline = timeline_of_log(log, Instant::from_unix_seconds(5000));
  ASSERT_TRUE(timeline.ok());
  const Report report = account(*timeline);
  expect_exact(report);
  EXPECT_EQ(breakdown_of(report),
            "WASTED_PROGRESS_FROM_DISRUPTION 1, TPU_INITIALIZATION 3, PROGRAM_STARTUP 3, "
            "PRODUCTIVE 8, INFRASTRUCTURE_RECOVERY_FROM_DISRUPTION 7, OTHER 3");
  EXPECT_EQ(report.mttr, Duration::seconds(8));
}

TEST(EventLog, OfCheckpointsCountsFromOneToTheNext) {
  std::string log;
  const auto event = [&](const char* type, const char* time, int step = 0) {
    log += line({{"event_type", type}, {"timestamp", time}, {"step", step}, {"job_name", "j"}});
  };
  event("job_started", "2025-04-02T06:00:00");
  event("job_started", "2025-04-02T06:00:09.5");
  event("checkpoint_loaded", "2025-04-02T06:00:20", 40);
  event("checkpoint_saved", "2025-04-02T06:02:00", 60);
  event("checkpoint_saved", "2025-04-02T06:03:40", 80);
  event("job_terminated", "2025-04-02T06:04:00");
  event("job_terminated", "2025-04-02T06:04:01");
  event("job_started", "2025-04-02T06:05:00");
  event("checkpoint_loaded", "2025-04-02T06:05:10", 60);
  event("checkpoint_saved", "2025-04-02T06:06:50", 80);
  event("job_terminated", "2025-04-02T06:07:00");
  const auto timeline = timeline_of_log(log, at(0));
  ASSERT_TRUE(timeline.ok());
  const Report report = account(*timeline);
  expect_exact(report);
  EXPECT_EQ(breakdown_of(report),
            "WASTED_PROGRESS_FROM_DISRUPTION 120, UNPRODUCTIVE_CHECKPOINT_RESTORE_TIME 30, "
            "PRODUCTIVE 200, INFRASTRUCTURE_RECOVERY_FROM_DISRUPTION 60, OTHER 10");
}

TEST(EventLog, ThatIsNoneSaysWhatItNeeds) {
  for (const char* text : {"", "nonsense\n{}\n[1]\n", "{\"step_count\": 1}\n"}) {
    const auto timeline = timeline_of_log(text, at(0));
    ASSERT_FALSE(timeline.ok()) << text;
    EXPECT_NE(timeline.error().message().find("job_start_time"), std::string::npos);
  }
  EXPECT_FALSE(timeline_of_log("{\"job_name\":\"a\"}\n{\"job_name\":\"b\"}\n", at(0)).ok());
}

TEST(History, StepsAfterWhatIsCalledTheFailureWereDone) {
  Entry first;
  first.number = 1;
  first.began = at(0);
  first.ended = at(100);
  first.width = first.full_width = 2;
  first.cause = "Stopped";
  first.failed_at = at(1);
  first.first_step = 0;
  first.first_step_at = at(11);
  first.last_step = 9;
  first.last_step_at = at(20);
  Entry second = first;
  second.number = 2;
  second.began = at(100);
  second.ended = {};
  second.cause = "";
  second.first_step = 10;
  second.first_step_at = at(111);
  second.last_step = 19;
  second.last_step_at = at(120);
  const auto timeline = timeline_of({first, second}, at(0), at(120));
  ASSERT_TRUE(timeline.ok());
  EXPECT_EQ(account(*timeline).time_of(Category::Productive), Duration::seconds(20));
}

}  // namespace
}  // namespace pelton::decide::goodput
