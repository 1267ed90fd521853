// SPDX-License-Identifier: Apache-2.0
#include "scenario/training_checkers.h"

#include <gtest/gtest.h>

#include <optional>

#include "sim/sim_world.h"

namespace pelton::scenario {
namespace {

using base::Duration;
using base::Json;

/// Feeds the checkers by hand: each must find the fault that it is for.
class TrainingCheckersTest : public testing::Test {
 protected:
  static Json entry(int64_t number, const std::string& phase, const std::vector<std::string>& pods,
                    const std::string& rung = "Start") {
    Json members = Json::array();
    for (const std::string& pod : pods) {
      members.push_back(Json::object({{"podUID", pod}, {"ranks", 1}, {"node", "n"}}));
    }
    return Json::object(
        {{"name", "train"},
         {"uid", "j"},
         {"fullWorldSize", 2},
         {"generation", Json::object({{"number", number}, {"phase", phase}, {"members", members}})},
         {"lastDecision", Json::object({{"rung", rung}})}});
  }
  void put(const Json& entry) {
    const Json object =
        Json::object({{"status", Json::object({{"jobSets", Json::array({entry})}})}});
    checkers_.on_change("/pelton.dev/recoverypolicies/default/train", nullptr, &object);
  }
  void policy(int64_t number, const std::string& phase, const std::vector<std::string>& pods,
              const std::string& rung = "Start") {
    put(entry(number, phase, pods, rung));
  }
  /// Generation 2 of pods a and b: `is_open`, or it restores this step of generation 1.
  void restoring(bool is_open, std::optional<int64_t> step = {}) {
    Json json = entry(2, "Running", {"a", "b"});
    if (is_open) json.child("generation").set("restoreOpen", true);
    if (step) {
      json.child("generation").set("restore", Json::object({{"generation", 1}, {"step", *step}}));
    }
    put(json);
  }
  void hold(int64_t step, int parts) {
    for (int writer = 0; writer < parts; ++writer) {
      memory_.publish("n", {"j", {1, step}, writer, 2, {}}, {}, Duration());
    }
  }
  void pod(const std::string& name, const std::string& reason = "") {
    Json object = Json::object(
        {{"metadata",
          Json::object({{"name", name},
                        {"uid", name},
                        {"labels", Json::object({{"pelton.dev/recovery-policy", "train"},
                                                 {"jobset.sigs.k8s.io/jobset-uid", "j"}})}})},
         {"status", Json::object({{"phase", "Running"}})}});
    if (!reason.empty()) {
      object.child("status").set(
          "conditions",
          Json::array({Json::object(
              {{"type", "DisruptionTarget"}, {"status", "True"}, {"reason", reason}})}));
    }
    checkers_.on_change("/core/pods/default/" + name, nullptr, &object);
  }
  void jobset(int64_t restarts, bool is_completed = false) {
    Json object = Json::object({{"metadata", Json::object({{"uid", "j"}})},
                                {"status", Json::object({{"restarts", restarts}})}});
    object.child("status").set(
        "conditions", Json::array({Json::object(
                          {{"type", "Completed"}, {"status", is_completed ? "True" : "False"}})}));
    checkers_.on_change("/jobset.x-k8s.io/jobsets/default/train", nullptr, &object);
  }
  void start(int64_t generation, int rank, const std::string& pod) {
    checkers_.on_worker_started("j", {generation, rank}, pod);
  }
  void step(int64_t generation, int64_t number, int ranks) {
    checkers_.on_step("j", {generation, number, ranks, {"n"}, Duration::seconds(1)}, 10);
  }
  /// The only violation so far names this.
  void expect(const std::string& part) {
    ASSERT_EQ(violations_.size(), 1u);
    EXPECT_NE(violations_[0].find(part), std::string::npos) << violations_[0];
  }

  sim::SimWorld sim_{1};
  SimulatedMemory memory_{sim_.timers(), sim_.world().clock};
  base::Instant now_ = sim_.now() + Duration::hours(1);
  bool is_reachable_ = true;
  std::vector<std::string> violations_;
  TrainingCheckers checkers_{{.now = [this] { return now_; },
                              .violate = [this](std::string what) { violations_.push_back(what); },
                              .is_reachable = [this](const auto&) { return is_reachable_; },
                              .memory = [this] { return &memory_; }}};
};

TEST_F(TrainingCheckersTest, FindANumberThatGoesBackOrChangesItsMeaning) {
  policy(2, "Running", {"a"});
  policy(2, "Finished", {"a"});
  EXPECT_TRUE(violations_.empty());
  policy(1, "Running", {"a"});
  expect("generation 1 follows 2");
  violations_.clear();
  policy(2, "Finished", {"b"});
  expect("generation 2 was");
}

TEST_F(TrainingCheckersTest, FindAWorkerThatTheRecordDoesNotName) {
  policy(1, "Running", {"a", "b"});
  start(1, 0, "a");
  EXPECT_TRUE(violations_.empty());
  start(1, 1, "a");
  expect("does not give it");
  violations_.clear();
  start(2, 0, "a");
  EXPECT_FALSE(violations_.empty());
}

TEST_F(TrainingCheckersTest, FindWorkersOfTwoGenerationsInAPod) {
  policy(1, "Running", {"a"});
  start(1, 0, "a");
  checkers_.on_fault("j");
  policy(2, "Running", {"a"}, "RestartInPlace");
  start(2, 0, "a");
  expect("beside workers of generation 1");
}

TEST_F(TrainingCheckersTest, FindAnOlderGenerationThatStepsOn) {
  policy(1, "Running", {"a"});
  step(1, 0, 1);
  checkers_.on_fault("j");
  policy(2, "Running", {"b"}, "SwapSpare");
  step(2, 1, 1);
  is_reachable_ = false;
  step(1, 1, 1);
  EXPECT_TRUE(violations_.empty()) << "nobody can tell it; its saves are shut out";
  is_reachable_ = true;
  step(1, 2, 1);
  expect("after generation 2 had begun");
}

TEST_F(TrainingCheckersTest, FindAnActionWithoutEvidence) {
  policy(1, "Running", {"a"});
  checkers_.on_fault("j");
  policy(2, "Running", {"a"}, "RestartInPlace");
  EXPECT_TRUE(violations_.empty());
  now_ = now_ + Duration::minutes(10);
  policy(3, "Running", {"a"}, "RestartInPlace");
  expect("nothing has befallen it");
}

TEST_F(TrainingCheckersTest, FindAGenerationThatIsEndedByAWorkerItNeverHad) {
  const auto after = [](int64_t number, int rank, const char* cause) {
    Json json = entry(number + 1, "Running", {"a", "b"}, "RestartInPlace");
    json.set("history",
             Json::array({Json::object({{"number", number}, {"rank", rank}, {"cause", cause}})}));
    return json;
  };
  policy(1, "Running", {"a", "b"});
  start(1, 1, "b");
  checkers_.on_fault("j");
  put(after(1, 1, "SIGKILL"));
  put(after(2, 0, "PodGone"));
  EXPECT_TRUE(violations_.empty());
  put(after(3, 1, "SIGKILL"));
  expect("generation 3 was ended by rank 1");
}

TEST_F(TrainingCheckersTest, FindABadNodeThatIsTriedAgainAndAgain) {
  policy(1, "Running", {"a"});
  for (int64_t number = 1; number <= 5; ++number) {
    EXPECT_TRUE(violations_.empty());
    checkers_.on_fault("j");
    start(number, 0, "a");
    checkers_.on_worker_ended("j", {number, 0});
    Json json = entry(number + 1, "Running", {"a"}, "RestartInPlace");
    json.set("history",
             Json::array({Json::object(
                 {{"number", number}, {"rank", 0}, {"cause", "DeviceLost"}, {"node", "n"}})}));
    put(json);
  }
  expect("generation 5 is the 5th");
}

TEST_F(TrainingCheckersTest, FindARestartThatNoPodAskedForAndAnEndBeforeTheLastStep) {
  policy(1, "Running", {"a"});
  jobset(1);
  expect("none of its pods had failed");
  violations_.clear();
  step(1, 0, 1);
  jobset(1, true);
  expect("complete after step 0 of 10");
}

TEST_F(TrainingCheckersTest, FindAJobThatStandsStill) {
  policy(1, "Running", {"a"});
  step(1, 0, 1);
  now_ = now_ + Duration::seconds(60);
  checkers_.check_progress();
  EXPECT_TRUE(violations_.empty());
  now_ = now_ + Duration::minutes(5);
  checkers_.check_progress();
  expect("has not stepped");
}

TEST_F(TrainingCheckersTest, FindAJobThatStaysNarrowThoughItsPodsAreThere) {
  policy(1, "Running", {"a"});
  for (const char* name : {"a", "b"}) pod(name);
  step(1, 0, 1);
  checkers_.check_progress();
  now_ = now_ + Duration::minutes(2);
  step(1, 1, 1);
  checkers_.check_progress();
  EXPECT_TRUE(violations_.empty());
  now_ = now_ + Duration::minutes(2);
  step(1, 2, 1);
  checkers_.check_progress();
  expect("has had 1 of 2 ranks");
}

TEST_F(TrainingCheckersTest, FindARestoreOfWhatIsNotThere) {
  policy(1, "Running", {"a", "b"});
  hold(4, 2);
  hold(9, 1);
  checkers_.on_restored("j", {1, SimulatedMemory::Version{1, 4}, 4, {"n"}});
  EXPECT_TRUE(violations_.empty());
  checkers_.on_restored("j", {1, SimulatedMemory::Version{1, 9}, 3, {"n"}});
  expect("do not hold all parts");
  violations_.clear();
  checkers_.on_restored("j", {1, SimulatedMemory::Version{1, 4}, 5, {"n"}});
  expect("the durable tier has step 5");
  violations_.clear();
  restoring(false, 4);
  checkers_.on_restored("j", {2, {}, 5, {"n"}});
  EXPECT_TRUE(violations_.empty());
  checkers_.on_restored("j", {2, {}, 3, {"n"}});
  expect("restores step 3 from the durable tier");
}

TEST_F(TrainingCheckersTest, FindAnAnswerThatPassesOverWhatMembersHold) {
  policy(1, "Running", {"a", "b"});
  hold(4, 2);
  hold(9, 2);
  restoring(true);
  restoring(false, 9);
  EXPECT_TRUE(violations_.empty());
  restoring(false, 4);
  expect("generation 2 was");
}

TEST_F(TrainingCheckersTest, FindAnAnswerThatIsOlderThanWhatIsHeld) {
  policy(1, "Running", {"a", "b"});
  hold(4, 2);
  hold(9, 2);
  restoring(true);
  restoring(false, 4);
  expect("its members hold step 9 of generation 1");
}

TEST_F(TrainingCheckersTest, FindAWorkerThatStartsBeforeTheAnswerOrWithAnother) {
  policy(1, "Running", {"a", "b"});
  restoring(true);
  start(2, 0, "a");
  expect("before it is decided");
  violations_.clear();
  hold(9, 2);
  restoring(false, 9);
  start(2, 1, "b");
  expect("restores nothing, and its record says step 9 of generation 1");
}

TEST_F(TrainingCheckersTest, FindAPodThatIsReplacedUnrecordedOrTwice) {
  policy(1, "Running", {"a"});
  pod("a", "ReplacedByRecovery");
  expect("no record says so");
  violations_.clear();
  Json recorded = entry(1, "Running", {"a"});
  recorded.set("replaced", Json::array({Json::object({{"podUID", "a"}})}));
  put(recorded);
  pod("a", "ReplacedByRecovery");
  policy(1, "Running", {"a"});
  EXPECT_TRUE(violations_.empty());
  put(recorded);
  expect("pod a is replaced twice");
}

TEST_F(TrainingCheckersTest, FindAQuarantineThatNoStatusTellsOf) {
  Json node = Json::object({{"metadata", Json::object({{"name", "n"}})}});
  node.child("spec").set("taints", Json::array({Json::object({{"key", "pelton.dev/quarantine"}})}));
  checkers_.on_change("/core/nodes//n", nullptr, &node);
  expect("node n is quarantined");
}

TEST(SimulatedMemoryTest, KeepsTwoVersionsOfAWriterAndWhatAPeerHasCopied) {
  sim::SimWorld sim(1);
  SimulatedMemory memory(sim.timers(), sim.world().clock);
  const auto save = [&](int64_t step) {
    for (int writer = 0; writer < 2; ++writer) {
      const std::string node = writer == 0 ? "a" : "b";
      const SimulatedMemory::Part part{"j", {1, step}, writer, 2, {}};
      memory.begin(node, part);
      memory.publish(node, part, {writer == 0 ? "b" : "a"}, Duration::milliseconds(10));
    }
    sim.run_until([] { return false; }, Duration::seconds(1));
  };
  for (const int64_t step : {4, 9, 14}) save(step);
  const base::Instant now = sim.now() + Duration::seconds(1);
  EXPECT_EQ(memory.newest_whole("j", {"a", "b"}, now), (SimulatedMemory::Version{1, 14}));
  EXPECT_FALSE(memory.is_whole("j", {"a", "b"}, {1, 4})) << "it has given way";
  memory.lose("b");
  EXPECT_EQ(memory.newest_whole("j", {"a", "b"}, now), (SimulatedMemory::Version{1, 14}));
  EXPECT_EQ(memory.held("a", "j").size(), 2u);
  memory.begin("a", {"j", {1, 19}, 0, 2, {}});
  EXPECT_FALSE(memory.is_whole("j", {"a"}, {1, 9})) << "its area is being written over";
  EXPECT_TRUE(memory.is_whole("j", {"a"}, {1, 14}));
  memory.forget("j");
  EXPECT_FALSE(memory.newest_whole("j", {"a"}, now));
}

}  // namespace
}  // namespace pelton::scenario
