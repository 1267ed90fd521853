// SPDX-License-Identifier: Apache-2.0
// of a job of many generations the record keeps 50 and sums: the report is the same.
#include "decide/goodput/folded.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/strings.h"
#include "decide/goodput/history.h"
#include "decide/goodput/job_metrics.h"
#include "decide/goodput/report.h"
#include "decide/recovery/job_record.h"

namespace pelton::decide::goodput {
namespace {

using base::Duration;
using base::Instant;
using base::Json;
using Phase = recovery::Generation::Phase;
using recovery::PastGeneration;

constexpr int kGenerations = 150;

/// Generations that crash, wait, shrink and grow, each a few hundred steps.
class Life {
 public:
  explicit Life(uint64_t seed) : rng_(seed) {}

  PastGeneration next() {
    PastGeneration past;
    past.number = ++number_;
    past.full_world_size = 4;
    past.world_size = width_;
    past.rung = rung_;
    past.began = now_;
    if (number_ > 1 && rng_.chance(0.1)) {
      past.phase = Phase::Waiting;
      past.rung = recovery::Rung::Wait;
      pass(5, 500);
      past.ended = now_;
      return past;
    }
    pass(1, 20);
    past.phase_seconds = {{"start", 0.7}, {"restore", 0.2}, {"compile", 0.1}};
    if (rng_.chance(0.9)) {
      const int64_t steps = rng_.between(1, 300);
      past.first_step = step_;
      past.first_step_at = now_;
      for (int64_t i = 1; i < steps; ++i) pass(0.5, 0.8);
      past.last_step = step_ + steps - 1;
      past.last_step_at = now_;
      past.phase_seconds["save"] = 0.01 * static_cast<double>(steps);
      step_ = std::max<int64_t>(step_, past.last_step - rng_.between(0, 20));
    }
    pass(0.1, 0.9);
    if (rng_.chance(0.8)) {
      past.failure.cause = rng_.chance(0.5) ? "SIGKILL" : "NodeUnreachable";
      past.failure.at = now_;
      pass(0.1, 2);
    }
    past.ended = now_;
    width_ = static_cast<int>(rng_.between(2, 4));
    rung_ = width_ < 4 ? recovery::Rung::Shrink : recovery::Rung::RestartInPlace;
    return past;
  }

 private:
  void pass(double least, double most) {
    now_ = now_ + Duration::microseconds(rng_.between(static_cast<int64_t>(least * 1e6),
                                                      static_cast<int64_t>(most * 1e6)));
  }

  base::Rng rng_;
  Instant now_ = Instant::from_unix_seconds(1'790'000'000);
  int64_t number_ = 0, step_ = 0;
  int width_ = 4;
  recovery::Rung rung_ = recovery::Rung::Start;
};

JobMetrics observe(const recovery::JobRecord& record, Instant now) {
  Json jobset = Json::object({{"metadata", Json::object({{"name", "train"}, {"namespace", "d"}})}});
  jobset.child("metadata")
      .set("creationTimestamp", base::format_time(Instant::from_unix_seconds(1'789'999'990)));
  return observe_job(jobset, recovery::to_json(record), {}, now);
}

/// They depend on the order in which they are added.
std::string without_sums_of_doubles(const std::string& text) {
  std::string kept;
  for (const std::string_view line : base::split(text, '\n')) {
    if (line.find("accelerator_goodput") == std::string_view::npos)
      kept += std::string(line) + "\n";
  }
  return kept;
}

TEST(Folded, KeepsEveryTotalOfAJobOfManyGenerations) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Life life(seed);
    recovery::JobRecord folded, whole;
    PastGeneration last;
    for (int i = 0; i < kGenerations; ++i) {
      last = life.next();
      recovery::remember(folded, last);
      whole.history.push_back(last);
      // What is written is what is read next.
      if (i % 7 == 0) folded = recovery::job_record_of(recovery::to_json(folded));
    }
    for (recovery::JobRecord* record : {&folded, &whole}) {
      record->uid = "u";
      record->generation.number = last.number + 1;
      record->generation.job_uid = "u";
      record->generation.began = last.ended;
      record->generation.members = {{"a", "u-a", "n", "", 4}};
      record->full_world_size = 4;
      record->last.rung = recovery::Rung::RestartInPlace;
    }
    ASSERT_EQ(folded.history.size(), recovery::JobRecord::kHistoryMax);
    const Instant now = last.ended + Duration::seconds(30);
    const JobMetrics a = observe(folded, now), b = observe(whole, now);
    ASSERT_TRUE(a.report && b.report);
    EXPECT_EQ(a.report->breakdown, b.report->breakdown) << "seed " << seed;
    EXPECT_EQ(a.report->mttr, b.report->mttr);
    EXPECT_EQ(a.report->mtbi, b.report->mtbi);
    EXPECT_EQ(a.report->interruption_count, static_cast<int64_t>(b.report->interruptions.size()));
    EXPECT_LT(a.report->interruptions.size(), b.report->interruptions.size());
    EXPECT_EQ(a.report->uptime, b.report->uptime);
    EXPECT_NEAR(a.report->accelerator_goodput, b.report->accelerator_goodput, 1e-9);
    EXPECT_EQ(a.report->scheduling_goodput, b.report->scheduling_goodput);
    EXPECT_EQ(without_sums_of_doubles(exposition({a})), without_sums_of_doubles(exposition({b})))
        << "seed " << seed;
  }
}

TEST(Folded, IsReadAsItWasWritten) {
  Life life(9);
  recovery::JobRecord record;
  for (int i = 0; i < 60; ++i) recovery::remember(record, life.next());
  ASSERT_TRUE(record.history[0].sums);
  EXPECT_EQ(folded_of(to_json(*record.history[0].sums)), record.history[0].sums);
  EXPECT_EQ(record.history[0].sums->generations, 11);
  EXPECT_FALSE(folded_of(Json()));
  EXPECT_FALSE(folded_of(Json::object({{"generations", 3}, {"to", "yesterday"}})));
}

}  // namespace
}  // namespace pelton::decide::goodput
