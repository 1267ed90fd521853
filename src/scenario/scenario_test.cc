// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "api/object.h"
#include "client/cache.h"
#include "scenario/checkers.h"
#include "scenario/spec.h"

namespace pelton::scenario {
namespace {

using base::Json;

constexpr const char* kMinimal = "name: a\nworkload: [{jobsets: 2, pods: 1..3, run: 1s..2s}]\n";

TEST(Spec, ReadsRangesAndDefaults) {
  auto spec = parse_spec(kMinimal);
  ASSERT_TRUE(spec.ok()) << spec.status().to_string();
  EXPECT_EQ(spec->workload[0].pods.high, 3);
  EXPECT_EQ(spec->workload[0].run.low, base::Duration::seconds(1));
  EXPECT_FALSE(spec->node_deaths.has_value());
}

TEST(Spec, NamesTheFieldThatIsWrong) {
  const std::pair<const char*, const char*> kCases[] = {
      {"workload: []\n", "name is required"},
      {"name: a\n", "workload is required"},
      {"name: a\nworkload: [{pods: 3..1}]\n", "workload[0].pods"},
      {"name: a\nworkload: [{run: soon}]\n", "workload[0].run"},
      {"name: a\nworkload: []\nfaults: {nodeDeath: {every: 1s}}\n", "faults.nodeDeath"},
      {"name: a\nworkload: []\nfaults: {nodeDeaths: {downtime: 1s}}\n", "faults.nodeDeaths.every"},
      {"name: a\nworkload: []\nfaults: {lostMessages: 2}\n", "faults.lostMessages"},
      {"name: a\nworkload: []\nfaults: {staleReads: {lag: 2s..1s}}\n", "faults.staleReads.lag"},
      {"name: a\nworkload: []\nfaults: {user: {edits: 5s}}\n", "faults.user.edits"},
      {"name: a\nworkload: []\nfaults: {user: {sleeps: {every: 5s}}}\n", "faults.user.sleeps"},
  };
  for (const auto& [yaml, part] : kCases) {
    auto spec = parse_spec(yaml);
    ASSERT_FALSE(spec.ok()) << yaml;
    EXPECT_NE(spec.status().message().find(part), std::string::npos) << spec.status().message();
  }
}

/// Feeds the checkers by hand: each must find the fault that it is for.
class CheckersTest : public testing::Test {
 protected:
  void put(const std::string& key, const Json& object, uint64_t revision = 0) {
    store::Event event;
    event.key = key;
    event.bytes = std::make_shared<const std::string>(object.dump());
    event.revision = revision ? revision : ++revision_;
    checkers_.on_event(event);
  }
  void node(const std::string& name, int chips) {
    put("/core/nodes//" + name,
        Json::object({{"metadata", Json::object({{"name", name}})},
                      {"status",
                       Json::object({{"allocatable", Json::object({{"google.com/tpu",
                                                                    std::to_string(chips)}})}})}}));
  }
  void jobset(const std::string& name, int pods) {
    Json object = Json::object({{"metadata", Json::object({{"name", name}, {"uid", name}})}});
    object.make("spec.replicatedJobs")
        .push_back(Json::object(
            {{"template", Json::object({{"spec", Json::object({{"parallelism", pods}})}})}}));
    put("/jobset.x-k8s.io/jobsets/default/" + name, object);
  }
  void pod(const std::string& name, const std::string& node, const std::string& jobset = "") {
    Json object;
    object.make("metadata").set("name", name);
    object.make("metadata").set("uid", name);
    if (!jobset.empty()) {
      object.make("metadata.labels").set("jobset.sigs.k8s.io/jobset-uid", jobset);
    }
    object.make("spec").set("nodeName", node);
    object.make("spec.containers")
        .push_back(Json::object(
            {{"resources", Json::object({{"limits", Json::object({{"google.com/tpu", "1"}})}})}}));
    put("/core/pods/default/" + name, object);
  }
  uint64_t revision_ = 0;
  Checkers checkers_;
};

TEST_F(CheckersTest, FindAChipInTwoPods) {
  node("n", 1);
  pod("a", "n");
  checkers_.on_turn_end();
  EXPECT_TRUE(checkers_.violations().empty());
  pod("b", "n");
  checkers_.on_turn_end();
  EXPECT_EQ(checkers_.violations().size(), 1u);
}

TEST_F(CheckersTest, FindAGangThatIsBoundInParts) {
  node("n", 4);
  jobset("whole", 2);
  jobset("half", 2);
  pod("w0", "n", "whole");
  pod("w1", "n", "whole");
  checkers_.on_turn_end();
  EXPECT_TRUE(checkers_.violations().empty());
  pod("h0", "n", "half");
  checkers_.on_turn_end();
  EXPECT_EQ(checkers_.violations().size(), 1u);
}

TEST_F(CheckersTest, FindAPodThatIsMovedOrRisesFromTheDead) {
  pod("a", "");
  pod("a", "m");
  EXPECT_TRUE(checkers_.violations().empty());
  pod("a", "n");
  EXPECT_EQ(checkers_.violations().size(), 1u);
  Json object;
  object.make("spec").set("nodeName", "n");
  for (const char* phase : {"Running", "Failed", "Failed"}) {
    object.make("status").set("phase", phase);
    put("/core/pods/default/b", object);
  }
  EXPECT_EQ(checkers_.violations().size(), 1u);
  object.make("status").set("phase", "Running");
  put("/core/pods/default/b", object);
  EXPECT_EQ(checkers_.violations().size(), 2u);
}

TEST_F(CheckersTest, FindALostAcknowledgedWrite) {
  checkers_.on_acknowledged("/core/pods/default/a", 5);
  checkers_.on_acknowledged("/core/pods/default/b", 6);
  checkers_.on_delete_asked("/core/pods/default/b");
  store::Entry entry;
  entry.key = "/core/pods/default/a";
  entry.bytes = std::make_shared<const std::string>("{}");
  entry.revision = 5;
  checkers_.on_reopened({entry}, 9);
  EXPECT_TRUE(checkers_.violations().empty());
  entry.revision = 4;
  checkers_.on_reopened({entry}, 9);
  EXPECT_EQ(checkers_.violations().size(), 1u) << "older than acknowledged";
  checkers_.on_reopened({}, 9);
  EXPECT_EQ(checkers_.violations().size(), 2u);
}

TEST_F(CheckersTest, FindARevisionThatIsShownTwice) {
  put("/core/pods/default/a", Json::object(), 3);
  put("/core/pods/default/a", Json::object(), 3);
  EXPECT_EQ(checkers_.violations().size(), 1u);
}

TEST_F(CheckersTest, FindAnUpdateThatWasAppliedToAnotherVersionThanItNamed) {
  put("/core/pods/default/a", Json::object(), 3);
  put("/core/pods/default/a", Json::object(), 5);
  put("/core/pods/default/a", Json::object(), 8);
  checkers_.on_acknowledged("/core/pods/default/a", 8, 5);
  checkers_.on_acknowledged("/core/pods/default/a", 5, 5);  // changed nothing
  checkers_.on_turn_end();
  EXPECT_TRUE(checkers_.violations().empty());
  checkers_.on_acknowledged("/core/pods/default/a", 8, 3);
  checkers_.on_turn_end();
  EXPECT_EQ(checkers_.violations().size(), 1u) << "5 is overwritten";
  checkers_.on_acknowledged("/core/pods/default/a", 7, 5);
  checkers_.on_turn_end();
  EXPECT_EQ(checkers_.violations().size(), 2u) << "there is no 7";
}

TEST_F(CheckersTest, FindAnAcknowledgedBindingThatIsLost) {
  Json object;
  object.make("metadata").set("uid", "u");
  const std::string text = object.dump();
  put("/core/pods/default/a", object, 3);
  checkers_.on_bound_acknowledged("/core/pods/default/a", "other");
  store::Entry entry;
  entry.key = "/core/pods/default/a";
  entry.bytes = std::make_shared<const std::string>(text);
  entry.revision = 3;
  checkers_.on_reopened({entry}, 9);
  EXPECT_TRUE(checkers_.violations().empty()) << "another pod of that name";
  checkers_.on_bound_acknowledged("/core/pods/default/a", "u");
  checkers_.on_reopened({entry}, 9);
  EXPECT_EQ(checkers_.violations().size(), 1u);
}

TEST_F(CheckersTest, FindWhatCameBackWithoutAnEvent) {
  put("/core/pods/default/a", Json::object(), 3);
  store::Entry entry;
  entry.key = "/core/pods/default/b";
  entry.bytes = std::make_shared<const std::string>("{}");
  entry.revision = 4;
  checkers_.on_reopened({entry}, 9);
  checkers_.on_turn_end();
  EXPECT_EQ(checkers_.violations().size(), 2u) << "a went and b came, and nobody is told";
}

TEST_F(CheckersTest, FindAGangThatIsBoundToANodeThatIsGone) {
  node("n", 8);
  jobset("whole", 2);
  pod("w0", "n", "whole");
  pod("w1", "gone", "whole");
  checkers_.on_turn_end();
  EXPECT_EQ(checkers_.violations().size(), 1u);
}

TEST_F(CheckersTest, FindAJobThatCountsAPodTwice) {
  const auto owned = [](const std::string& name, const char* phase) {
    Json pod;
    pod.make("metadata").set("name", name);
    pod.make("metadata").set("uid", name);
    pod.make("metadata.ownerReferences")
        .push_back(Json::object({{"uid", "job"}, {"controller", true}}));
    pod.make("status").set("phase", phase);
    return pod;
  };
  Json job;
  job.make("metadata").set("uid", "job");
  job.make("status").set("succeeded", 1);
  put("/core/pods/default/a", owned("a", "Succeeded"));
  put("/core/pods/default/b", owned("b", "Running"));
  put("/batch/jobs/default/j", job);
  EXPECT_TRUE(checkers_.violations().empty());
  job.make("status").set("succeeded", 2);
  put("/batch/jobs/default/j", job);
  EXPECT_EQ(checkers_.violations().size(), 1u);
}

TEST_F(CheckersTest, FindGarbageThatHadALivingOwner) {
  jobset("owner", 1);
  Json notes;
  notes.make("metadata.annotations").set(kGarbageOnly, "true");
  notes.make("metadata").set("uid", "notes");
  notes.make("metadata.ownerReferences").push_back(Json::object({{"uid", "owner"}}));
  put("/core/configmaps/default/notes", notes);
  store::Event event;
  event.kind = store::Event::Kind::Delete;
  event.key = "/core/configmaps/default/notes";
  event.bytes = std::make_shared<const std::string>(notes.dump());
  event.revision = ++revision_;
  checkers_.on_event(event);
  EXPECT_EQ(checkers_.violations().size(), 1u);
}

TEST_F(CheckersTest, FindWhatIsLeftWithoutItsOwner) {
  Json notes;
  notes.make("metadata").set("name", "notes");
  notes.make("metadata.ownerReferences").push_back(Json::object({{"uid", "owner"}}));
  put("/core/configmaps/default/notes", notes);
  EXPECT_NE(checkers_.unrest(client::Cache()).find("its owner is gone"), std::string::npos);
  jobset("owner", 1);
  EXPECT_EQ(checkers_.unrest(client::Cache()), "");
}

TEST_F(CheckersTest, FindACacheThatIsNotWhatIsStored) {
  Json object = Json::object({{"apiVersion", "v1"}, {"kind", "Pod"}});
  object.make("metadata").set("name", "a");
  object.make("metadata").set("resourceVersion", "7");
  put("/core/pods/default/a", object, 7);
  client::Cache seen;
  seen.replace("Pod", {}, 7);
  EXPECT_NE(checkers_.unrest(seen), "") << "it lacks a";
  seen.put(object);
  EXPECT_EQ(checkers_.unrest(seen), "");
  put("/core/pods/default/a", object, 8);
  EXPECT_NE(checkers_.unrest(seen), "") << "its a is an older one";
}

TEST_F(CheckersTest, FindANodeThatDoesNotSeeItsPodsAsTheyAreStored) {
  const auto pod_on = [](const char* name, const char* node, const char* version) {
    Json pod = Json::object({{"apiVersion", "v1"}, {"kind", "Pod"}});
    pod.make("metadata").set("name", name);
    pod.make("metadata").set("namespace", "default");
    pod.make("metadata").set("resourceVersion", version);
    pod.make("spec").set("nodeName", node);
    return pod;
  };
  put("/core/pods/default/a", pod_on("a", "n", "7"), 7);
  put("/core/pods/default/b", pod_on("b", "m", "8"), 8);
  client::Cache seen;
  seen.replace("Pod", {}, 8);
  EXPECT_NE(checkers_.unrest_on("n", seen), "") << "it lacks a";
  seen.put(pod_on("a", "n", "6"));
  EXPECT_NE(checkers_.unrest_on("n", seen), "") << "its a is an older one";
  seen.put(pod_on("a", "n", "7"));
  EXPECT_EQ(checkers_.unrest_on("n", seen), "");
  seen.put(pod_on("c", "n", "9"));
  EXPECT_NE(checkers_.unrest_on("n", seen), "") << "c is gone";
}

TEST_F(CheckersTest, FindADeadNodeThatIsStillCalledReady) {
  Json node = Json::object({{"metadata", Json::object({{"name", "n"}})}});
  api::set_condition(node, {"Ready", "Unknown", "NodeStatusUnknown", ""}, {});
  put("/core/nodes//n", node);
  checkers_.on_long_dead("n");
  checkers_.on_long_dead("removed");
  EXPECT_TRUE(checkers_.violations().empty());
  api::set_condition(node, {"Ready", "True", "KubeletReady", ""}, {});
  put("/core/nodes//n", node);
  EXPECT_TRUE(checkers_.is_called_ready("n"));
  checkers_.on_long_dead("n");
  EXPECT_EQ(checkers_.violations().size(), 1u);
}

TEST_F(CheckersTest, FindAJobSetThatNeitherEndsNorSaysWhy) {
  jobset("stuck", 1);
  checkers_.on_end();
  EXPECT_EQ(checkers_.violations().size(), 1u);
}

}  // namespace
}  // namespace pelton::scenario
