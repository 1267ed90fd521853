// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/decide_recovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decide/recovery/membership.h"
#include "decide/recovery/test_job.h"

namespace pelton::decide::recovery {
namespace {

using base::Duration;
using base::Json;
using Phase = Generation::Phase;

Policy elastic(int least, int most = 0) {
  Policy policy;
  policy.min_replicas = least;
  policy.max_replicas = most;
  return policy;
}

Policy with_spares(int spares) {
  Policy policy;
  policy.spares = spares;
  return policy;
}

TEST(Recovery, TheFirstGenerationBeginsWhenAllPodsHaveJoined) {
  TestJob job(3);
  job.pod("p0").has_joined = job.pod("p2").has_joined = true;
  job.settle();
  EXPECT_EQ(job.generation().number, 0);
  EXPECT_EQ(job.look().waits_for, "2 of 3 ranks have joined; 1 pods are on their way");
  job.start();
  EXPECT_EQ(job.generation().number, 1);
  EXPECT_EQ(job.members(), "p0 p1 p2");
  EXPECT_EQ(job.generation().phase, Phase::Running);
}

TEST(Recovery, APodWithoutNetworkIsNoPlaceToRestartIn) {
  TestJob job(5, with_spares(1));
  job.start();
  job.train(0, 9);
  job.fail("p0", "SIGABRT", 10);  // its peer is the first to end
  job.fail("p2", "LinkDown", 10);
  job.settle();
  EXPECT_EQ(job.rung(), Rung::SwapSpare);
  EXPECT_EQ(job.members(), "p0 p1 p4 p3");
  EXPECT_EQ(job.alternative(Rung::RestartInPlace)->why, "pod p2 has no network");
  EXPECT_FALSE(job.has_pod("p2"));
}

TEST(Recovery, SparesStayOutOfIt) {
  TestJob job(4, with_spares(1));
  job.start();
  EXPECT_EQ(job.members(), "p0 p1 p2");
}

TEST(Recovery, AnElasticJobBeginsWithWhatIsPlacedOnceNothingMoreIsOnItsWay) {
  TestJob job(4, elastic(2));
  job.join_all();
  job.pod("p3").has_joined = false;
  job.settle();
  EXPECT_EQ(job.generation().number, 0) << "p3 is starting";
  job.pod("p3").is_unschedulable = true;
  job.settle();
  EXPECT_EQ(job.members(), "p0 p1 p2");
  job.pod("p3").is_unschedulable = false;
  job.pod("p3").has_joined = true;
  job.settle();
  EXPECT_EQ(job.members(), "p0 p1 p2 p3");
  EXPECT_EQ(job.rung(), Rung::Grow);
}

TEST(Recovery, AKilledWorkerIsRestartedInPlace) {
  TestJob job(3);
  job.start();
  job.train(0, 10);
  job.fail("p1", "SIGKILL", 11);
  job.settle();
  EXPECT_EQ(job.generation().number, 2);
  EXPECT_EQ(job.rung(), Rung::RestartInPlace);
  EXPECT_EQ(job.members(), "p0 p1 p2");
  EXPECT_TRUE(job.observed.record.replaced.empty()) << "no pod is touched";
  const PastGeneration& past = job.observed.record.history.back();
  EXPECT_EQ(past.failure.cause, "SIGKILL");
  EXPECT_EQ(past.failure.rank, 1);
  EXPECT_EQ(past.last_step, 10);
  EXPECT_EQ(job.observed.record.last.reason, "rank 1 (pod p1, node n1-0): SIGKILL at step 11");
  // 3 accelerators for the prior of 1 s.
  EXPECT_DOUBLE_EQ(job.alternative(Rung::RestartInPlace)->lost_accelerator_seconds, 3);
  EXPECT_EQ(job.alternative(Rung::SwapSpare)->why, "0 spares have joined, 1 needed");
  EXPECT_EQ(job.alternative(Rung::Shrink)->why,
            "the policy allows no smaller number of whole replicas");
  EXPECT_EQ(job.alternative(Rung::Wait)->why, "no pod is missing: waiting changes nothing");
}

TEST(Recovery, WhoFailedFirstIsBlamedNotWhoFellWithIt) {
  TestJob job(3);
  job.start();
  job.fail("p0", "RuntimeError", 5);
  job.now = job.now + Duration::milliseconds(1);
  job.fail("p2", "SIGKILL", 5);
  job.settle();
  EXPECT_EQ(job.observed.record.history.back().failure.rank, 2);
}

TEST(Recovery, ARankThatHangsIsRestartedOnceAPeerElsewhereIsSeenToWaitForIt) {
  TestJob job(3);
  job.start();
  job.train(0, 10);
  const auto says = [&](const std::string& pod, const std::string& cause,
                        const std::string& phase) {
    WorkerReport& worker = job.pod(pod).report.workers.at(0);
    worker.cause = cause;
    worker.phase = phase;
    worker.step = 11;
  };
  says("p1", "Spinning", "step");
  job.settle();
  EXPECT_EQ(job.generation().number, 1) << "it may be the last of all";
  says("p0", "Late", "step");
  job.settle();
  EXPECT_EQ(job.generation().number, 1) << "who is late itself waits for nobody";
  says("p2", "Late", "collective");
  job.settle();
  EXPECT_EQ(job.generation().number, 2);
  EXPECT_EQ(job.rung(), Rung::RestartInPlace);
  EXPECT_EQ(job.observed.record.last.reason, "rank 1 (pod p1, node n1-0): Spinning at step 11");
}

TEST(Recovery, TheSameFailureAgainChangesTheRungAndAtLastStops) {
  TestJob job(3, with_spares(1));
  job.start();
  std::vector<Rung> rungs;
  for (int i = 0; i < 6 && job.generation().phase != Phase::Failed; ++i) {
    job.train(0, 6);
    job.fail(job.generation().members[1].pod, "ValueError", 7);
    job.settle();
    rungs.push_back(job.rung());
    job.make_pods();
    job.join_all();
    job.settle();
  }
  EXPECT_EQ(rungs, (std::vector<Rung>{Rung::RestartInPlace, Rung::SwapSpare, Rung::RestartPod,
                                      Rung::Stop}));
  EXPECT_EQ(job.generation().phase, Phase::Failed);
  EXPECT_NE(job.generation().reason.find("ValueError at step 7 (4 times in a row)"),
            std::string::npos)
      << job.generation().reason;
  EXPECT_EQ(job.alternative(Rung::RestartInPlace)->why, "the same failure came again after it");
}

TEST(Recovery, OneBadNodeAfterAnotherStopsNoJob) {
  TestJob job(3, with_spares(1));
  job.start();
  for (int i = 0; i < 8; ++i) {
    job.train(0, 6);
    const std::string node = job.generation().members[1].node;
    job.fail(job.generation().members[1].pod, "DeviceLost", 7);
    job.settle();
    job.make_pods();
    job.join_all();
    job.settle();
    ASSERT_NE(job.generation().phase, Phase::Failed) << job.generation().reason;
    if (i > 0) {
      ASSERT_NE(job.generation().members[1].node, node) << "to stay has been tried";
    }
  }
}

TEST(Recovery, ARankThatFailsNowAndThenIsNoRepeatedFailure) {
  TestJob job(2);
  job.start();
  for (int i = 1; i <= 30; ++i) {
    job.train(i * 10, i * 10 + 5);
    job.now = job.now + Duration::seconds(30);
    job.fail("p1", "SIGKILL", i * 10 + 6);
    job.settle();
    ASSERT_EQ(job.rung(), Rung::RestartInPlace);
  }
  EXPECT_EQ(job.generation().number, 31);
}

TEST(Recovery, ALostNodeIsFencedBeforeItsPlaceIsGivenAway) {
  TestJob job(4, with_spares(1));
  job.start();
  job.train(0, 3);
  job.observed.nodes["n1-0"].is_unreachable = true;
  const Decision decision = job.look();
  EXPECT_EQ(decision.record.generation.number, 2);
  EXPECT_EQ(decision.record.last.rung, Rung::SwapSpare);
  ASSERT_EQ(decision.deletions.size(), 1U) << "in the order: the record, then the pod";
  EXPECT_EQ(decision.deletions[0].pod, "p1");
  EXPECT_TRUE(decision.deletions[0].force);
  job.settle();
  EXPECT_EQ(job.members(), "p0 p3 p2") << "the others keep their ranks";
  EXPECT_EQ(job.observed.record.history.back().failure.cause, "NodeUnreachable");
}

TEST(Recovery, NothingIsDecidedWhileEveryNodeIsSilent) {
  TestJob job(2);
  job.start();
  for (auto& [name, node] : job.observed.nodes) node.is_unreachable = true;
  job.observed.is_every_node_silent = true;
  EXPECT_EQ(job.look().record.generation.number, 1);
}

TEST(Recovery, WithoutASpareAnElasticJobShrinksAndGrowsBack) {
  TestJob job(4, elastic(2));
  job.start();
  job.train(0, 3);
  job.remove_pod("p2");
  job.settle();
  EXPECT_EQ(job.rung(), Rung::Shrink);
  EXPECT_EQ(job.members(), "p0 p1 p3");
  job.make_pods();
  job.settle();
  EXPECT_EQ(job.members(), "p0 p1 p3") << "its successor is starting";
  job.join_all();
  job.settle();
  EXPECT_EQ(job.rung(), Rung::Grow);
  EXPECT_EQ(job.members(), "p0 p1 p3 p2'") << "who stays keeps its rank";
}

TEST(Recovery, AfterFailuresInQuickSuccessionItGrowsOnceItHasRunForAWhile) {
  TestJob job(4, elastic(2));
  job.start();
  for (const int64_t step : {1, 2}) {
    job.train(0, step);
    job.now = job.now + Duration::seconds(2);
    job.fail("p1", "SIGKILL", step);
    job.settle();
  }
  job.train(0, 3);
  job.remove_pod("p2");
  job.settle();
  EXPECT_EQ(job.rung(), Rung::Shrink);
  job.make_pods();
  job.join_all();
  job.settle();
  EXPECT_EQ(job.rung(), Rung::Shrink) << "by what it has seen, it would not run long enough";
  const std::optional<Duration> later = job.look().look_again;
  ASSERT_TRUE(later) << job.look().waits_for;
  job.now = job.now + *later + Duration::milliseconds(10);
  job.settle();
  EXPECT_EQ(job.rung(), Rung::Grow) << job.look().waits_for;
}

TEST(Recovery, ItShrinksByWholeReplicasAndKeepsThoseThatAreWhole) {
  Policy policy = elastic(1);
  policy.ranks_per_replica = 2;
  TestJob job(6, policy);
  job.start();
  job.remove_pod("p1");
  job.settle();
  EXPECT_EQ(job.members(), "p2 p3 p4 p5");
  job.remove_pod("p4");
  job.settle();
  EXPECT_EQ(job.members(), "p2 p3 p0 p5") << "two halves make a whole";
}

TEST(Recovery, ItChangesToADeclaredMesh) {
  Policy policy;
  policy.meshes = {{"fsdp3", 3}};
  TestJob job(4, policy);
  job.start();
  EXPECT_EQ(job.generation().world_size(), 4);
  job.remove_pod("p0");
  job.settle();
  EXPECT_EQ(job.rung(), Rung::ChangeMesh);
  EXPECT_EQ(job.members(), "p1 p2 p3");
}

TEST(Recovery, WithoutSpareOrElasticityItWaitsForThePod) {
  TestJob job(2);
  job.start();
  job.remove_pod("p0");
  job.settle();
  EXPECT_EQ(job.generation().phase, Phase::Waiting);
  EXPECT_EQ(job.generation().number, 2);
  job.make_pods();
  job.settle();
  EXPECT_EQ(job.generation().number, 2);
  job.join_all();
  job.settle();
  EXPECT_EQ(job.generation().phase, Phase::Running);
  EXPECT_EQ(job.members(), "p0' p1");
  EXPECT_EQ(job.rung(), Rung::Wait);
}

TEST(Recovery, WaitingThatLastsLongerThanExpectedIsGivenUpForLessWidth) {
  TestJob job(2, elastic(1));
  job.start();
  job.remove_pod("p0");
  job.settle();
  ASSERT_EQ(job.generation().phase, Phase::Waiting) << "a pod is soon back";
  EXPECT_TRUE(job.look().look_again);
  job.make_pods();
  job.now = job.now + Duration::seconds(3600);
  job.settle();
  EXPECT_EQ(job.rung(), Rung::Shrink);
  EXPECT_EQ(job.members(), "p1");
}

TEST(Recovery, AMachineThatWasAskedForIsNotWaitedForWhereFewerRanksCanGoOn) {
  TestJob job(2, elastic(1));
  job.start();
  job.remove_pod("p0");
  job.settle();
  ASSERT_EQ(job.generation().phase, Phase::Waiting) << "a pod is soon back";
  job.make_pods();
  job.pod("p0'").expected_node = "node-9";
  job.settle();
  EXPECT_EQ(job.rung(), Rung::Shrink) << "a machine takes longer than a pod";
  EXPECT_THAT(job.alternative(Rung::Wait)->why, ::testing::StartsWith("node-9 was asked for"));
  EXPECT_LT(job.alternative(Rung::Wait)->lost_accelerator_seconds, 2 * 3600) << "it is no repair";
  job.join_all();
  job.settle();
  EXPECT_EQ(job.rung(), Rung::Grow);
}

TEST(Recovery, ANoticeIsAnsweredBeforeItsDeadline) {
  TestJob job(3, with_spares(1));
  job.start();
  job.observed.nodes["n0-0"].notice = Notice{"Preempted", job.now + Duration::seconds(30)};
  job.settle();
  EXPECT_EQ(job.rung(), Rung::SwapSpare);
  EXPECT_EQ(job.members(), "p2 p1");
  EXPECT_FALSE(job.has_pod("p0")) << "its Job makes another, elsewhere";
}

TEST(Recovery, ANoticeWithNoSpareLetsItRunUntilShortlyBefore) {
  TestJob job(3, elastic(2));
  job.start();
  job.observed.nodes["n0-0"].notice = Notice{"Maintenance", job.now + Duration::seconds(600)};
  job.settle();
  EXPECT_EQ(job.generation().number, 1);
  EXPECT_EQ(job.look().look_again->ns(), Duration::seconds(570).ns());
  job.now = job.now + Duration::seconds(575);
  job.settle();
  EXPECT_EQ(job.rung(), Rung::Shrink);
  EXPECT_EQ(job.members(), "p1 p2");
}

TEST(Recovery, TheBreakerBoundsGenerationsPerWindow) {
  Policy policy;
  policy.budget.generations = 3;
  TestJob job(2, policy);
  job.start();
  for (int i = 1; i <= 3; ++i) {
    job.train(i * 10, i * 10 + 5);
    job.fail("p1", "SIGKILL", i * 10 + 6);
    job.settle();
  }
  EXPECT_EQ(job.generation().phase, Phase::Waiting);
  EXPECT_EQ(job.look().waits_for, "the budget of 3 generations per 600 s is spent");
  ASSERT_TRUE(job.look().look_again);
  job.now = job.now + *job.look().look_again + Duration::seconds(1);
  job.settle();
  EXPECT_EQ(job.generation().phase, Phase::Running);
}

TEST(Recovery, ANodeThatFailsAgainAndAgainIsQuarantinedUntilItsTaintIsTakenOff) {
  TestJob job(3, with_spares(1));
  job.start();
  for (int i = 1; i <= 3; ++i) {
    job.train(i * 10, i * 10 + 5);
    job.now = job.now + Duration::minutes(20);
    job.fail("p0", "Xid79", i * 10 + 6);
    job.settle();
  }
  EXPECT_TRUE(job.observed.nodes["n0-0"].is_quarantined);
  EXPECT_EQ(job.observed.memories["n0-0"].quarantine, NodeMemory::Quarantine::Done);
  job.observed.nodes["n0-0"].is_quarantined = false;
  job.settle();
  EXPECT_FALSE(job.observed.memories.contains("n0-0"));
}

TEST(Recovery, ItFinishesWhenEveryRankHasSucceededUnderTheSameNumber) {
  TestJob job(2, with_spares(0));
  job.start();
  job.train(0, 9);
  job.pod("p0").report.stage = PodReport::Stage::Succeeded;
  job.settle();
  EXPECT_EQ(job.generation().phase, Phase::Running);
  job.pod("p1").report.stage = PodReport::Stage::Succeeded;
  job.settle();
  EXPECT_EQ(job.generation().phase, Phase::Finished);
  EXPECT_EQ(job.generation().number, 1);
  EXPECT_EQ(job.observed.record.history.back().last_step, 9);
}

TEST(Recovery, ARankThatIsDoneEarlyBeginsAgainWithItsPeers) {
  TestJob job(2);
  job.start();
  job.pod("p0").report.stage = PodReport::Stage::Succeeded;
  job.fail("p1", "SIGKILL", 3);
  job.settle();
  EXPECT_EQ(job.generation().number, 2);
  EXPECT_EQ(job.pod("p0").report.stage, PodReport::Stage::Running);
}

TEST(Recovery, ASuspendedJobWaitsAndGoesOn) {
  TestJob job(2);
  job.start();
  job.observed.is_suspended = true;
  job.observed.pods.clear();
  job.settle();
  EXPECT_EQ(job.generation().phase, Phase::Waiting);
  job.observed.is_suspended = false;
  job.make_pods();
  job.start();
  EXPECT_EQ(job.generation().phase, Phase::Running);
  EXPECT_EQ(job.generation().number, 3);
}

TEST(Recovery, ARestartOfTheJobSetBeginsAnewWithAHigherNumber) {
  TestJob job(2);
  job.observed.policy.rungs = {};
  job.start();
  job.fail("p0", "ValueError", 3);
  job.settle();
  ASSERT_EQ(job.generation().phase, Phase::Failed);
  job.observed.attempt = 1;
  job.observed.pods.clear();
  job.make_pods();
  job.start();
  EXPECT_EQ(job.generation().phase, Phase::Running);
  EXPECT_EQ(job.generation().number, 3);
  EXPECT_EQ(job.rung(), Rung::Start);
}

TEST(Recovery, APodThatRefusesIsReplacedByASpare) {
  TestJob job(3, with_spares(1));
  job.start();
  job.pod("p1").report.stage = PodReport::Stage::Refused;
  job.pod("p1").report.detail = "another image";
  job.settle();
  EXPECT_EQ(job.rung(), Rung::SwapSpare);
  EXPECT_EQ(job.members(), "p0 p2");
  EXPECT_EQ(job.alternative(Rung::RestartInPlace)->why, "pod p1 refused to follow: another image");
}

TEST(Recovery, ANodeThatFailsItsHealthCheckIsLeftAndRemembered) {
  TestJob job(3, with_spares(1));
  job.start();
  job.pod("p1").report.stage = PodReport::Stage::Refused;
  job.pod("p1").report.cause = "HealthCheck";
  job.pod("p1").report.detail = "exit code 1: no accelerator";
  job.settle();
  EXPECT_EQ(job.rung(), Rung::SwapSpare);
  EXPECT_EQ(job.observed.record.history.back().failure.cause, "HealthCheck");
  EXPECT_EQ(job.observed.memories.at("n1-0").failures.size(), 1u);
}

TEST(Recovery, PatienceAllowsARungAgainAgainstTheSameFailure) {
  Policy policy;
  policy.patience = 3;
  policy.rungs = {Rung::RestartInPlace};
  TestJob job(1, policy);
  job.start();
  for (int i = 1; i <= 4; ++i) {
    EXPECT_EQ(job.generation().number, i);
    job.train(0, 6);
    job.fail("p0", "ValueError", 7);
    job.settle();
  }
  EXPECT_EQ(job.generation().phase, Phase::Failed);
  EXPECT_NE(job.generation().reason.find("(4 times in a row)"), std::string::npos);
}

TEST(Recovery, NumbersStayAboveWhatAnySupervisorHasSeen) {
  TestJob job(2);
  job.join_all();
  job.pod("p1").report.generation = 41;
  job.step();
  EXPECT_EQ(job.generation().number, 42) << "the policy was deleted and made again";
}

TEST(Recovery, PricesAreMeasuredOnceThereIsSomethingToMeasure) {
  TestJob job(2);
  job.start();
  job.train(0, 5);
  for (int i = 1; i <= 2; ++i) {
    job.fail("p1", "SIGKILL", i * 10);
    job.settle();
    job.now = job.now + Duration::seconds(3);
    job.train(i * 10, i * 10 + 5);
  }
  job.fail("p1", "SIGKILL", 40);
  job.settle();
  EXPECT_EQ(job.alternative(Rung::RestartInPlace)->why, "median of 1 measured: 4.00 s");
  EXPECT_DOUBLE_EQ(job.alternative(Rung::RestartInPlace)->lost_accelerator_seconds, 8);
  EXPECT_EQ(job.rung(), Rung::RestartInPlace) << "a prior does not win for being one";
}

TEST(Recovery, WorkThatIsLostEitherWaySpeaksAgainstNoRung) {
  Policy policy = elastic(1);
  policy.spares = 1;
  TestJob job(4, policy);
  job.start();
  job.train(0, 100);
  for (int i = 1; i <= 2; ++i) {
    // 50 steps are done again, which takes longer than any prior says that a rung does.
    const std::string lost = job.generation().members[0].pod;
    job.remove_pod(lost);
    job.make_pods();
    job.join_all();
    job.settle();
    EXPECT_EQ(job.rung(), Rung::SwapSpare) << i;
    job.now = job.now + Duration::seconds(1);
    job.train(50, 60);
    job.now = job.now + Duration::seconds(60);
  }
}

TEST(Recovery, AWaitCostsWhatWaitsHaveTakenHere) {
  TestJob job(2);
  job.start();
  job.train(0, 5);
  job.remove_pod("p1");
  job.settle();
  ASSERT_EQ(job.generation().phase, Generation::Phase::Waiting);
  job.now = job.now + Duration::seconds(40);
  job.make_pods();
  job.join_all();
  job.settle();
  job.train(5, 10);
  job.remove_pod("p0");
  job.step();
  EXPECT_EQ(job.alternative(Rung::Wait)->why, "median of 1 measured: 40.00 s");
}

TEST(Recovery, HistoryIsFoldedNotLost) {
  JobRecord record;
  for (int i = 1; i <= 60; ++i) {
    PastGeneration past;
    past.number = i;
    past.last_step = i;
    past.phase_seconds["step"] = 1;
    remember(record, past);
  }
  ASSERT_EQ(record.history.size(), JobRecord::kHistoryMax);
  EXPECT_EQ(record.history[0].folded, 11);
  EXPECT_EQ(record.history[0].number, 11);
  EXPECT_DOUBLE_EQ(record.history[0].phase_seconds["step"], 11);
  EXPECT_EQ(record.history[1].number, 12);
}

TEST(Policy, EachFieldThatIsWrongIsNamed) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {R"({"minReplicas": 4, "maxReplicas": 2})",
       "spec.minReplicas: 4 is more than spec.maxReplicas, 2: lower the one or raise the other"},
      {R"({"spares": -1})", "spec.spares: must be an integer from 0 to 1000000"},
      {R"({"rungs": ["Pray"]})",
       "spec.rungs[0]: \"Pray\" is none of Start, RestartInPlace, RestartPod, SwapSpare, Shrink, "
       "ChangeMesh, Wait, Grow, Finish, Stop"},
      {R"({"rungs": ["Wait"]})", "spec.rungs[0]: Wait is no rung that can be left out"},
      {R"({"meshes": [{"name": "a"}]})", "spec.meshes[0].ranks: required"},
      {R"({"budget": {"generations": 0}})",
       "spec.budget.generations: must be an integer from 1 to 1000000"}};
  for (const auto& [text, message] : cases) {
    const base::Result<Policy> policy = policy_of(*Json::parse(text));
    ASSERT_FALSE(policy.ok()) << text;
    EXPECT_EQ(policy.error().message(), message);
  }
}

TEST(Policy, WorldsAreWholeReplicasAndDeclaredMeshes) {
  Policy policy = elastic(1, 3);
  policy.ranks_per_replica = 4;
  policy.meshes = {{"odd", 6}, {"too large", 20}};
  EXPECT_EQ(allowed_worlds(policy, 16, 2), (std::vector<int>{12, 8, 6, 4}));
  policy.spares = 2;
  EXPECT_EQ(allowed_worlds(policy, 10, 2), (std::vector<int>{6, 4}));
  EXPECT_EQ(allowed_worlds(elastic(5), 4, 1), (std::vector<int>{}));
  EXPECT_EQ(allowed_worlds({}, 4, 1), (std::vector<int>{4}));
}

TEST(RecoveryObserve, APodThatAMachineWasAskedForIsOnItsWay) {
  Json pod = *Json::parse(R"({"metadata":{"name":"p","uid":"u"},"spec":{},"status":{"conditions":[
      {"type":"PodScheduled","status":"False","reason":"Unschedulable"}]}})");
  EXPECT_TRUE(observe_pod(pod).is_unschedulable);
  pod.make("status.nominatedNodeName") = "node-9";
  EXPECT_FALSE(observe_pod(pod).is_unschedulable);
  EXPECT_EQ(observe_pod(pod).expected_node, "node-9");
  pod.make("spec.nodeName") = "node-2";
  EXPECT_EQ(observe_pod(pod).expected_node, "");
}

TEST(RecoveryObserve, ADeviceThatTheKernelGaveUpIsANoticeWithoutADeadline) {
  const auto node = [](const char* status) {
    return Json::object(
        {{"status",
          Json::object({{"conditions", Json::array({Json::object({{"type", kDeviceFault},
                                                                  {"status", status},
                                                                  {"reason", "Xid79"}})})}})}});
  };
  const Json faulty = node("True");
  const NodeFacts facts = observe_node(&faulty);
  ASSERT_TRUE(facts.notice);
  EXPECT_EQ(facts.notice->reason, "Xid79");
  EXPECT_FALSE(facts.notice->deadline);
  const Json well = node("False");
  EXPECT_FALSE(observe_node(&well).notice);
}

}  // namespace
}  // namespace pelton::decide::recovery
