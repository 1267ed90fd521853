// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "api/object.h"
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
  EXPECT_EQ(checkers_.violations().size(), 2u) << "older than acknowledged, and than shown";
  checkers_.on_reopened({}, 9);
  EXPECT_EQ(checkers_.violations().size(), 3u);
}

TEST_F(CheckersTest, FindARevisionThatIsShownTwice) {
  put("/core/pods/default/a", Json::object(), 3);
  put("/core/pods/default/a", Json::object(), 3);
  EXPECT_EQ(checkers_.violations().size(), 1u);
}

TEST_F(CheckersTest, FindAJobSetThatNeitherEndsNorSaysWhy) {
  jobset("stuck", 1);
  checkers_.on_end();
  EXPECT_EQ(checkers_.violations().size(), 1u);
}

}  // namespace
}  // namespace pelton::scenario
