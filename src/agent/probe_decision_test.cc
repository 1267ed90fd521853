// SPDX-License-Identifier: Apache-2.0
#include "agent/probe_decision.h"

#include <gtest/gtest.h>

#include "api/yaml.h"

namespace pelton::agent {
namespace {

using base::Duration;
using base::Instant;
using base::Json;

const Instant kStart = Instant::from_unix_seconds(1'000'000);

Json container_of(const std::string& text) {
  const auto parsed = api::parse_yaml(text);
  EXPECT_TRUE(parsed.ok()) << parsed.status().to_string();
  return *parsed;
}
ProbesDecision decide(const Json& container, const ProbeStates& states, int64_t seconds,
                      bool is_ending = false) {
  return decide_probes(container, states, kStart, is_ending, kStart + Duration::seconds(seconds));
}
using Kinds = std::vector<ProbeKind>;

TEST(ProbeDecision, AContainerWithoutProbesIsReadyAtOnce) {
  const auto decision = decide(container_of("{name: a}"), {}, 0);
  EXPECT_TRUE(decision.is_started && decision.is_ready);
  EXPECT_TRUE(decision.due.empty());
  EXPECT_FALSE(decision.wake_at);
}

TEST(ProbeDecision, WaitsTheInitialDelayThenThePeriodFromEachBeginning) {
  const Json container =
      container_of("{readinessProbe: {initialDelaySeconds: 5, periodSeconds: 3}}");
  ProbeStates states;
  auto decision = decide(container, states, 4);
  EXPECT_TRUE(decision.due.empty());
  EXPECT_FALSE(decision.is_ready);
  EXPECT_EQ(decision.wake_at, kStart + Duration::seconds(5));
  EXPECT_EQ(decide(container, states, 5).due, Kinds{ProbeKind::Readiness});
  ProbeState& state = states.of(ProbeKind::Readiness);
  state.began_at = kStart + Duration::seconds(5);
  state.is_under_way = true;
  EXPECT_TRUE(decide(container, states, 60).due.empty()) << "never two at once";
  state.is_under_way = false;
  EXPECT_EQ(decide(container, states, 7).wake_at, kStart + Duration::seconds(8));
  EXPECT_EQ(decide(container, states, 8).due, Kinds{ProbeKind::Readiness});
}

TEST(ProbeDecision, ThresholdsCountOutcomesInARow) {
  const ProbeTiming timing =
      probe_timing(container_of("{successThreshold: 2, failureThreshold: 3, timeoutSeconds: 0}"));
  EXPECT_EQ(timing.timeout, Duration::seconds(1));
  ProbeState state;
  const auto note = [&](ProbeOutcome outcome) { note_probe_outcome(state, timing, outcome); };
  note(ProbeOutcome::Success);
  EXPECT_FALSE(state.result);
  note(ProbeOutcome::Success);
  EXPECT_EQ(state.result, ProbeOutcome::Success);
  note(ProbeOutcome::Failure);
  note(ProbeOutcome::Failure);
  note(ProbeOutcome::Success);
  note(ProbeOutcome::Failure);
  note(ProbeOutcome::Unknown);
  note(ProbeOutcome::Failure);
  EXPECT_EQ(state.result, ProbeOutcome::Success) << "never three failures in a row";
  note(ProbeOutcome::Failure);
  EXPECT_EQ(state.result, ProbeOutcome::Failure) << "an unknown outcome breaks no run";
}

TEST(ProbeDecision, OthersWaitForTheStartupProbeWhichThenRestsForGood) {
  const Json container =
      container_of("{startupProbe: {}, livenessProbe: {}, readinessProbe: {periodSeconds: 1}}");
  ProbeStates states;
  auto decision = decide(container, states, 100);
  EXPECT_EQ(decision.due, Kinds{ProbeKind::Startup});
  EXPECT_FALSE(decision.is_started || decision.is_ready);
  states.of(ProbeKind::Startup).result = ProbeOutcome::Success;
  decision = decide(container, states, 100);
  EXPECT_EQ(decision.due, (Kinds{ProbeKind::Liveness, ProbeKind::Readiness}));
  EXPECT_TRUE(decision.is_started);
  EXPECT_FALSE(decision.is_ready);
}

TEST(ProbeDecision, AFailedLivenessProbeEndsTheContainerAndAFailedReadinessProbeDoesNot) {
  const Json container = container_of("{livenessProbe: {}, readinessProbe: {}}");
  ProbeStates states;
  states.of(ProbeKind::Readiness).result = ProbeOutcome::Failure;
  EXPECT_FALSE(decide(container, states, 1).failed);
  states.of(ProbeKind::Liveness).result = ProbeOutcome::Failure;
  const auto decision = decide(container, states, 1);
  EXPECT_EQ(decision.failed, ProbeKind::Liveness);
  EXPECT_EQ(decision.due, Kinds{ProbeKind::Readiness});
  const auto ending = decide(container, states, 1, true);
  EXPECT_FALSE(ending.failed) << "it ends anyway, with its own grace period";
  EXPECT_EQ(ending.due, Kinds{ProbeKind::Readiness});
}

}  // namespace
}  // namespace pelton::agent
