// SPDX-License-Identifier: Apache-2.0
#include "agent/worker_events.h"

#include <gtest/gtest.h>

namespace pelton::agent {
namespace {

using decide::recovery::PodReport;
using decide::recovery::WorkerState;

PodReport report(WorkerState state, const std::string& cause, const std::string& detail = "") {
  PodReport report;
  report.generation = 2;
  report.workers.resize(1);
  report.workers[0].rank = 3;
  report.workers[0].state = state;
  report.workers[0].cause = cause;
  report.workers[0].detail = detail;
  return report;
}

TEST(WorkerEvents, AFindingIsToldOnceHoweverItsNumbersChange) {
  const PodReport late = report(WorkerState::Running, "Late", "step 5 since 1 s");
  const PodReport later = report(WorkerState::Running, "Late", "step 5 since 3 s");
  EXPECT_EQ(events_between({}, late),
            (std::vector<WorkerEvent>{
                {"WorkerSuspected", "rank 3, generation 2: Late: step 5 since 1 s"}}));
  EXPECT_TRUE(events_between(late, later).empty());
  EXPECT_EQ(events_between(later, report(WorkerState::Hung, "Stopped")),
            (std::vector<WorkerEvent>{{"WorkerHung", "rank 3, generation 2: Stopped"}}));
  PodReport again = late;
  again.generation = 3;
  EXPECT_EQ(events_between(late, again).size(), 1u);
}

TEST(WorkerEvents, WhatGoesWellOrWasOrderedIsNoEvent) {
  EXPECT_TRUE(events_between({}, report(WorkerState::Running, "")).empty());
  EXPECT_TRUE(events_between({}, report(WorkerState::Running, "Ended")).empty());
  EXPECT_TRUE(events_between({}, report(WorkerState::Succeeded, "")).empty());
  EXPECT_EQ(events_between({}, report(WorkerState::Slow, "Straggler"))[0].reason, "WorkerSlow");
  EXPECT_EQ(events_between({}, report(WorkerState::Raised, "ValueError"))[0].reason,
            "WorkerRaised");
}

}  // namespace
}  // namespace pelton::agent
