// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/top_lines.h"
#include "cli/top_view.h"

namespace pelton::cli {
namespace {

using base::Instant;
using base::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Instant kNow = *base::parse_time("2026-03-01T12:00:00Z");

Json parse(const std::string& text) {
  return *Json::parse(text);
}

Json node(const std::string& name, const std::string& ready = "True") {
  return parse(R"({"metadata": {"name": ")" + name + R"(",
      "labels": {"pelton.dev/virtual-accelerator": "true"}},
    "status": {"conditions": [{"type": "Ready", "status": ")" +
               ready + R"("}],
      "allocatable": {"cpu": "4", "memory": "4Gi", "google.com/tpu": "2", "pods": "110"}}})");
}

/// In namespace default, of no JobSet, running on node-0.
Json pod(const std::string& name) {
  return parse(R"({"metadata": {"name": ")" + name + R"(", "namespace": "default", "labels": {},
      "creationTimestamp": "2026-03-01T11:55:00Z"},
    "spec": {"nodeName": "node-0", "containers": [{"name": "main", "resources": {
      "requests": {"cpu": "500m", "memory": "1Gi", "google.com/tpu": "1"}}}]},
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
      "containerStatuses": [{"name": "main", "ready": true, "restartCount": 2,
        "state": {"running": {}}}]}})");
}

Json pending(const std::string& name, const std::string& why) {
  Json made = pod(name);
  made.child("spec").erase("nodeName");
  made.set("status", Json::object({{"phase", "Pending"}}));
  made.child("status")
      .child("conditions")
      .push_back(Json::object({{"type", "PodScheduled"}, {"status", "False"}, {"message", why}}));
  return made;
}

Json of_jobset(Json pod, const std::string& jobset) {
  pod.child("metadata").child("labels").set("jobset.sigs.k8s.io/jobset-name", jobset);
  return pod;
}

Json jobset(const std::string& name) {
  return parse(R"({"metadata": {"name": ")" + name + R"(", "namespace": "default",
      "creationTimestamp": "2026-03-01T11:50:00Z"},
    "spec": {"replicatedJobs": [{"name": "w", "replicas": 1,
      "template": {"spec": {"parallelism": 2, "completions": 2}}}]},
    "status": {"restarts": 3}})");
}

Json node_metrics(const std::string& name, const std::string& cpu, const std::string& memory) {
  return parse(R"({"metadata": {"name": ")" + name + R"("}, "usage": {"cpu": ")" + cpu +
               R"(", "memory": ")" + memory + R"("}})");
}

Json pod_metrics(const std::string& name, const std::string& cpu) {
  return parse(R"({"metadata": {"name": ")" + name + R"(", "namespace": "default"},
    "containers": [{"usage": {"cpu": ")" +
               cpu + R"(", "memory": "1Mi"}},
                   {"usage": {"cpu": "1m", "memory": "2Mi"}}]})");
}

std::vector<std::string> texts(const std::vector<Line>& lines) {
  std::vector<std::string> all;
  for (const Line& line : lines) all.push_back(line.text);
  return all;
}

TEST(TopNodes, CountWhatPodsOfAllNamespacesRequestUntilTheyEnd) {
  Json elsewhere = pod("b"), ended = pod("c"), other_node = pod("d");
  elsewhere.child("metadata").set("namespace", "shop");
  ended.child("status").set("phase", "Succeeded");
  other_node.child("spec").set("nodeName", "node-1");
  const TopView view = observe_top(
      {{node("node-1"), node("node-0")}, {pod("a"), elsewhere, ended, other_node}, {}, {}, {}},
      "default", kNow);
  ASSERT_EQ(view.nodes.size(), 2U);
  const NodeRow& first = view.nodes[0];
  EXPECT_EQ(first.name, "node-0");
  EXPECT_EQ(first.status, "Ready");
  EXPECT_TRUE(first.has_virtual_accelerators);
  EXPECT_EQ(first.accelerators.at("google.com/tpu"), (Share{2, 2}));
  EXPECT_EQ(first.requested.at("cpu"), 1000);
  EXPECT_EQ(first.requested.at("pods"), 2);
  EXPECT_EQ(view.nodes[1].accelerators.at("google.com/tpu"), (Share{1, 2}));
}

TEST(TopNodes, AreAccountedAsNotReadyWhereTheyAre) {
  const TopView view = observe_top({{node("a", "Unknown"), node("b")}, {}, {}, {}, {}}, "", kNow);
  EXPECT_FALSE(view.nodes[0].is_ready);
  EXPECT_EQ(view.nodes[0].status, "NotReady");
  EXPECT_THAT(lines_of(view, "", {})[0].text, HasSubstr("nodes 1/2 ready   google.com/tpu 0/4"));
}

TEST(TopNodes, ShowADashForWhatIsNotMeasured) {
  const TopView view = observe_top(
      {{node("a"), node("b")}, {}, {}, {node_metrics("b", "250m", "512Mi")}, {}}, "", kNow);
  const auto lines = texts(lines_of(view, "", {}));
  EXPECT_THAT(lines[3], HasSubstr("-/4 "));
  EXPECT_THAT(lines[3], HasSubstr("-/4096Mi"));
  EXPECT_THAT(lines[4], HasSubstr("250m/4 "));
  EXPECT_THAT(lines[4], HasSubstr("512Mi/4096Mi"));
  const Json json = to_json(view);
  EXPECT_TRUE(json["nodes"][0]["cpu"]["used"].is_null());
  EXPECT_EQ(json["nodes"][1]["cpu"]["used"].as_string(), "250m");
  EXPECT_EQ(json["nodes"][1]["memory"]["allocatable"].as_string(), "4Gi");
}

std::string state_of(const Json& jobset, const Json::Array& pods) {
  const TopView view = observe_top({{}, pods, {jobset}, {}, {}}, "default", kNow);
  return view.jobsets.at(0).state;
}

TEST(TopJobSets, SayInOneWordHowTheyAre) {
  const Json a = of_jobset(pod("a"), "train"), b = of_jobset(pod("b"), "train");
  Json starting = b;
  starting.child("status").set("conditions", Json::array());
  EXPECT_EQ(state_of(jobset("train"), {}), "Starting");
  EXPECT_EQ(state_of(jobset("train"), {a, starting}), "Starting");
  EXPECT_EQ(state_of(jobset("train"), {a, b}), "Running");
  EXPECT_EQ(state_of(jobset("train"), {a, of_jobset(pending("c", "full"), "train")}), "Pending");
  Json changed = jobset("train");
  changed.child("spec").set("suspend", true);
  EXPECT_EQ(state_of(changed, {}), "Suspended");
  changed.child("metadata").set("deletionTimestamp", "2026-03-01T11:59:00Z");
  EXPECT_EQ(state_of(changed, {a}), "Terminating");
  changed.child("status").set("terminalState", "Completed");
  EXPECT_EQ(state_of(changed, {a}), "Completed");
}

TEST(TopJobSets, CountTheirOwnPodsOnly) {
  Json elsewhere = of_jobset(pod("a"), "train");
  elsewhere.child("metadata").set("namespace", "shop");
  const TopView view = observe_top(
      {{},
       {elsewhere, of_jobset(pod("b"), "train"), of_jobset(pod("c"), "other"), pod("d")},
       {jobset("train")},
       {},
       {}},
      "default", kNow);
  EXPECT_EQ(view.jobsets[0].workers, (Share{1, 2}));
  EXPECT_EQ(view.jobsets[0].restarts, 3);
  EXPECT_EQ(view.jobsets[0].age, "10m");
}

TEST(TopJobSets, ThatHaveEndedComeLast) {
  Json ended = jobset("a");
  ended.child("status").set("terminalState", "Failed");
  const TopView view = observe_top({{}, {}, {ended, jobset("b")}, {}, {}}, "default", kNow);
  EXPECT_EQ(view.jobsets[0].name, "b");
  EXPECT_EQ(view.jobsets[1].state, "Failed");
}

TEST(TopPods, WaitFirstThenTheBusiestThenThoseThatHaveEnded) {
  Json ended = pod("a-ended");
  ended.child("status").set("phase", "Failed");
  const TopView view =
      observe_top({{},
                   {ended, pod("idle"), pod("busy"), pending("waits", "0/4 nodes")},
                   {},
                   {},
                   {pod_metrics("busy", "900m"), pod_metrics("idle", "1m")}},
                  "default", kNow);
  std::vector<std::string> names;
  for (const PodRow& row : view.pods) names.push_back(row.name);
  EXPECT_THAT(names, ElementsAre("waits", "busy", "idle", "a-ended"));
  EXPECT_EQ(view.pods[0].reason, "0/4 nodes");
  EXPECT_EQ(view.pods[1].usage->cpu_milli, 901);
  EXPECT_EQ(view.pods[1].usage->memory_bytes, 3 << 20);
  EXPECT_EQ(view.pods[1].restarts, "2");
  EXPECT_EQ(view.pods[1].reason, "");
}

TEST(TopPods, OnANodeSayWhatTheirContainerWaitsFor) {
  Json waits = pod("a");
  waits.set("status", parse(R"({"phase": "Pending", "containerStatuses": [{"name": "main",
      "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no image x"}}}]})"));
  const TopView view = observe_top({{}, {waits}, {}, {}, {}}, "default", kNow);
  EXPECT_EQ(view.pods[0].status, "ImagePullBackOff");
  EXPECT_EQ(view.pods[0].reason, "no image x");
}

TEST(TopPods, AreThoseOfTheNamespaceOrAllWithItsName) {
  Json elsewhere = pod("b");
  elsewhere.child("metadata").set("namespace", "shop");
  const TopLists lists{{}, {pod("a"), elsewhere}, {}, {}, {}};
  EXPECT_EQ(observe_top(lists, "shop", kNow).pods.size(), 1U);
  const auto lines = texts(lines_of(observe_top(lists, "", kNow), "", {}));
  EXPECT_THAT(lines[6], HasSubstr("NAMESPACE   POD"));
  EXPECT_THAT(lines[8], HasSubstr("shop        b"));
}

TEST(TopJson, HasNumbersWhereTheyAreNumbers) {
  Json restarted = pod("a");
  restarted.child("status")
      .child("containerStatuses")
      .mutable_items()[0]
      .set("lastState", parse(R"({"terminated": {"finishedAt": "2026-03-01T11:58:00Z"}})"));
  const TopView view = observe_top({{}, {restarted}, {jobset("t")}, {}, {}}, "default", kNow);
  EXPECT_THAT(view.pods[0].restarts, HasSubstr("2 ("));
  const Json json = to_json(view);
  EXPECT_EQ(json["pods"][0]["restarts"], Json(2));
  EXPECT_EQ(json["jobSets"][0]["desired"], Json(2));
  EXPECT_EQ(json["time"].as_string(), "2026-03-01T12:00:00Z");
}

TEST(TopLines, AreCutToTheWidth) {
  const TopView view = observe_top({{node("n")}, {pending("p", std::string(300, 'x'))}, {}, {}, {}},
                                   "default", kNow);
  for (const Line& line : lines_of(view, std::string(300, 'y'), {40, 0})) {
    EXPECT_LE(line.text.size(), 40U);
  }
}

TEST(TopLines, FitTheHeightAndSayWhatIsLeftOut) {
  Json::Array nodes, pods;
  for (int i = 100; i < 140; ++i) nodes.push_back(node("n" + std::to_string(i)));
  for (int i = 100; i < 190; ++i) pods.push_back(pod("p" + std::to_string(i)));
  const TopView view = observe_top({nodes, pods, {}, {}, {}}, "default", kNow);
  for (size_t rows = 1; rows < 150; ++rows) {
    EXPECT_LE(lines_of(view, "alarm", {200, rows}).size(), rows);
  }
  const auto lines = texts(lines_of(view, "", {200, 24}));
  // One line for the title, three empty ones, the JobSets' heading: 19 are left for the others.
  EXPECT_THAT(lines, ::testing::Contains("... 33 more"));
  EXPECT_THAT(lines, ::testing::Contains(HasSubstr("p100")));
  EXPECT_THAT(lines.back(), HasSubstr("more"));
}

TEST(TopLines, ASmallScreenShowsPodsRatherThanNothing) {
  const TopView view =
      observe_top({{node("n")}, {pod("p")}, {jobset("j")}, {}, {}}, "default", kNow);
  const auto lines = texts(lines_of(view, "", {80, 4}));
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_THAT(lines[3], HasSubstr("Running"));
}

TEST(TopLines, ASmallTableLeavesItsRoomToALargeOne) {
  Json::Array nodes;
  for (int i = 100; i < 140; ++i) nodes.push_back(node("n" + std::to_string(i)));
  const TopView view = observe_top({nodes, {pod("p")}, {}, {}, {}}, "default", kNow);
  const auto lines = texts(lines_of(view, "", {80, 24}));
  EXPECT_EQ(lines.size(), 24U);
  EXPECT_THAT(lines[17], ::testing::StartsWith("n114"));
  EXPECT_EQ(lines[18], "... 25 more");
}

TEST(TopLines, NobodySteersTheTerminal) {
  const std::string evil =
      "a\x1b[2Jb\x07"
      "c\xc2\x9b"
      "d\r\ne\x7f";
  EXPECT_EQ(printable(evil), "a[2Jbc?de");
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "x"),
            "?x");
  const TopView view = observe_top({{}, {pending("p", evil)}, {}, {}, {}}, "default", kNow);
  for (const Line& line : lines_of(view, evil, {})) {
    for (const char c : line.text) EXPECT_TRUE(c >= ' ' && c <= '~') << line.text;
  }
}

TEST(TopLines, AnAlarmStandsAboveTheTables) {
  const auto lines = lines_of(observe_top({}, "", kNow), "no answer since noon", {});
  EXPECT_EQ(lines[1], (Line{"no answer since noon", Line::Style::Alarm}));
}

}  // namespace
}  // namespace pelton::cli
