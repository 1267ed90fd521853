// SPDX-License-Identifier: Apache-2.0
// Anything may happen to the pods, and the controller may die between any two of its writes.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <set>

#include "decide/recovery/test_job.h"

namespace pelton::decide::recovery {
namespace {

using base::Duration;
using Phase = Generation::Phase;

Policy any_policy(int pods) {
  Policy policy;
  policy.spares = *rc::gen::inRange(0, 2);
  policy.min_replicas = *rc::gen::inRange(0, pods - policy.spares + 1);
  policy.budget.generations = *rc::gen::inRange(5, 40);
  for (const Rung rung : {Rung::RestartPod, Rung::SwapSpare, Rung::Shrink, Rung::Grow}) {
    if (*rc::gen::inRange(0, 5) == 0) policy.rungs.erase(rung);
  }
  return policy;
}

/// One thing that happens to the job.
void strike(TestJob& job) {
  if (job.observed.pods.empty()) return;
  PodFacts& pod = job.observed.pods[*rc::gen::inRange<size_t>(0, job.observed.pods.size())];
  const bool is_running = pod.report.stage == PodReport::Stage::Running;
  switch (*rc::gen::inRange(0, 9)) {
    case 0:
      if (is_running) job.fail(pod.name, "SIGKILL", *rc::gen::inRange(-1, 30));
      break;
    case 1:
      if (is_running) job.fail(pod.name, *rc::gen::element<std::string>("ValueError", "Xid79"), 7);
      break;
    case 2:
      job.observed.nodes[pod.node].is_unreachable = true;
      break;
    case 3:
      job.observed.nodes[pod.node].is_unreachable = false;
      break;
    case 4:
      job.remove_pod(pod.name);
      break;
    case 5:
      pod.is_leaving = true;
      break;
    case 6:
      job.observed.nodes[pod.node].notice = Notice{"Preempted", job.now + Duration::seconds(20)};
      break;
    case 7:
      pod.report.stage = PodReport::Stage::Refused;
      break;
    default:
      job.train(*rc::gen::inRange(0, 10), *rc::gen::inRange(10, 30));
  }
}

void check(const TestJob& job, const JobRecord& before) {
  const Generation& generation = job.generation();
  RC_ASSERT(generation.number >= before.generation.number);
  if (generation.number == before.generation.number) {
    RC_ASSERT(generation.members == before.generation.members);
  }
  std::set<std::string> uids;
  for (const Member& member : generation.members) RC_ASSERT(uids.insert(member.pod_uid).second);
  if (generation.phase == Phase::Running && generation.number > before.generation.number) {
    const Policy& policy = job.observed.policy;
    const int pods = job.observed.wanted_pods;
    const int most = pods - policy.spares;
    const int least = policy.min_replicas > 0 ? policy.min_replicas : most;
    RC_ASSERT(generation.world_size() <= most);
    RC_ASSERT(generation.world_size() >= least);
  }
  RC_ASSERT(job.observed.record.history.size() <= JobRecord::kHistoryMax);
}

TEST(RecoveryProperty, NumbersGrowMembersAreUniqueAndTheWidthIsAllowed) {
  EXPECT_TRUE(rc::check([] {
    const int pods = *rc::gen::inRange(2, 6);
    TestJob job(pods, any_policy(pods));
    job.join_all();
    const int events = *rc::gen::inRange(1, 25);
    for (int i = 0; i < events; ++i) {
      const JobRecord before = job.observed.record;
      // The controller may die before it writes, after it, and before each of its deletions.
      Decision decision = job.step(false);
      const size_t done = *rc::gen::inRange<size_t>(0, decision.deletions.size() + 1);
      decision.deletions.resize(done);
      job.act(decision);
      check(job, before);
      if (*rc::gen::arbitrary<bool>()) job.follow();
      if (*rc::gen::arbitrary<bool>()) strike(job);
      if (*rc::gen::inRange(0, 3) == 0) {
        job.make_pods();
        job.join_all();
      }
      job.now = job.now + Duration::seconds(*rc::gen::inRange(0, 100));
    }
  }));
}

TEST(RecoveryProperty, WhatIsWrittenIsNotDecidedAgainAndTimeAloneDoesNothing) {
  EXPECT_TRUE(rc::check([] {
    const int pods = *rc::gen::inRange(2, 6);
    TestJob job(pods, any_policy(pods));
    job.start();
    const int events = *rc::gen::inRange(0, 12);
    for (int i = 0; i < events; ++i) {
      strike(job);
      job.settle();
    }
    const std::string before = to_json(job.observed.record).dump();
    RC_ASSERT(to_json(job.look().record).dump() == before);
    // A job whose members all run, all nodes there, is left alone for ever.
    if (job.generation().phase != Phase::Running) return;
    for (auto& [name, node] : job.observed.nodes) node.notice.reset();
    for (PodFacts& pod : job.observed.pods) pod.is_unschedulable = !pod.has_joined;
    const Decision now = job.look();
    job.now = job.now + Duration::hours(*rc::gen::inRange(1, 10'000));
    const Decision later = job.look();
    if (to_json(now.record).dump() == before && now.waits_for.empty()) {
      RC_ASSERT(to_json(later.record).dump() == before);
    }
  }));
}

TEST(RecoveryProperty, OnceNothingStrikesAnyMoreTheJobRunsOrSaysWhyNot) {
  EXPECT_TRUE(rc::check([] {
    const int pods = *rc::gen::inRange(2, 6);
    TestJob job(pods, any_policy(pods));
    job.join_all();
    const int events = *rc::gen::inRange(1, 20);
    for (int i = 0; i < events; ++i) {
      job.step(*rc::gen::arbitrary<bool>());
      if (*rc::gen::arbitrary<bool>()) job.follow();
      strike(job);
      job.make_pods();
    }
    for (int i = 0; i < 12; ++i) {
      // What leaves is gone in the end, and every node is there or its pods are not.
      std::erase_if(job.observed.pods, [&](const PodFacts& pod) {
        const NodeFacts& node = job.observed.nodes[pod.node];
        return pod.is_leaving || node.is_unreachable || node.notice;
      });
      job.make_pods();
      job.join_all();
      job.settle();
      job.now = job.now + Duration::seconds(700);
    }
    const Phase phase = job.generation().phase;
    RC_ASSERT(phase == Phase::Running || phase == Phase::Failed);
    if (phase == Phase::Failed) {
      RC_ASSERT(job.generation().reason.find("no rung is left") != std::string::npos);
    }
  }));
}

}  // namespace
}  // namespace pelton::decide::recovery
