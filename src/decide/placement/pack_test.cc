// SPDX-License-Identifier: Apache-2.0
// Gangs and topology: exclusive domains, required and preferred levels, few domains.
#include <gtest/gtest.h>

#include <set>

#include "decide/placement/test_objects.h"

namespace pelton::decide::placement {
namespace {

constexpr const char* kPool = "cloud.google.com/gke-nodepool";
constexpr const char* kZone = "topology.kubernetes.io/zone";

class Topology : public ::testing::Test {
 protected:
  /// Nodes "<pool>-0"… of one TPU each.
  void pool(const std::string& name, int nodes, const std::string& zone = "") {
    for (int i = 0; i < nodes; ++i) {
      Json& node = c.node(name + "-" + std::to_string(i), kTpuHost);
      Json& labels = node.child("metadata").child("labels");
      labels.set(kPool, name);
      if (!zone.empty()) labels.set(kZone, zone);
    }
  }
  void jobset(const std::string& name, int jobs, int pods, const Json& annotations,
              int attempt = 0) {
    Json& set = c.jobset(name, R"([{"name":"w","replicas":)" + std::to_string(jobs) + "}]");
    set.make("status").set("restarts", attempt);
    for (int j = 0; j < jobs; ++j) {
      const Json& job = c.job(name, "w", j, pods, attempt);
      for (int i = 0; i < pods; ++i) {
        Json& pod = c.member(job, i, kOneTpu);
        pod.make("metadata.labels").set(kJobKeyLabel, "key-" + name + std::to_string(j));
        pod.child("metadata").set("annotations", annotations);
      }
    }
  }
  /// Of the pods whose name starts so: the pools that they went to.
  std::set<std::string> pools_of(const std::string& prefix) {
    std::set<std::string> out;
    for (const auto& [pod, node] : bindings_of(c.decide())) {
      if (pod.starts_with(prefix)) out.insert(node.substr(0, node.rfind('-')));
    }
    return out;
  }
  static Json annotation(const char* key, const char* value) {
    return Json::object({{key, value}});
  }

  Cluster c;
};

TEST_F(Topology, ExclusiveJobsGetAPoolEachOfTheSizeThatTheyNeed) {
  pool("big", 4), pool("small", 2), pool("tiny", 1);
  jobset("train", 2, 2, annotation(kExclusiveTopology, kPool));
  EXPECT_EQ(bindings_of(c.decide()).size(), 4u);
  EXPECT_EQ(pools_of("train-w-0-"), std::set<std::string>{"small"});
  EXPECT_EQ(pools_of("train-w-1-"), std::set<std::string>{"big"});
}

TEST_F(Topology, AnExclusivePoolIsKeptFromJobsOfOtherJobSetsAlsoWhenItHasRoom) {
  pool("big", 4);
  jobset("first", 1, 2, annotation(kExclusiveTopology, kPool));
  for (int i = 0; i < 2; ++i) {
    Json& pod = c.pod("bound-" + std::to_string(i), kOneTpu, "big-" + std::to_string(i));
    pod.child("metadata").set("labels", parse(R"({"jobset.sigs.k8s.io/job-key":"elsewhere"})"));
  }
  EXPECT_EQ(message_for(c.decide(), "first-w-0-0"),
            "gang first: 0 of 2 pods fit (2 pods must share one cloud.google.com/gke-nodepool, at "
            "most 0 fit in one), then for pod first-w-0-0: 0/4 nodes are available: 2 Insufficient "
            "google.com/tpu (needs 1, at most 0 free on big-0), 2 node(s) were in a "
            "cloud.google.com/gke-nodepool that another Job holds (exclusive-topology)");
}

TEST_F(Topology, AnExclusiveJobKeepsLaterJobSetsOutOfItsPool) {
  pool("big", 4);
  Json& holder = c.pod("bound", kOneTpu, "big-0");
  holder.child("metadata").set("labels", parse(R"({"jobset.sigs.k8s.io/job-key":"mine"})"));
  holder.child("metadata").set("annotations", annotation(kExclusiveTopology, kPool));
  jobset("plain", 1, 2, Json::object());
  EXPECT_TRUE(bindings_of(c.decide()).empty());
  c.pod("outsider", kOneTpu);  // no Job of a JobSet: may share
  EXPECT_EQ(bindings_of(c.decide()).size(), 1u);
}

TEST_F(Topology, AReplacementOfAnExclusiveJobReturnsToItsPool) {
  pool("a", 4), pool("b", 2);
  jobset("train", 1, 2, annotation(kExclusiveTopology, kPool));
  const auto first = bindings_of(c.decide());
  EXPECT_EQ(pools_of("train"), std::set<std::string>{"b"});
  Cluster later;
  std::swap(c, later);
  pool("a", 4), pool("b", 2);
  jobset("train", 1, 2, annotation(kExclusiveTopology, kPool));
  c.find_pod("train-w-0-0").child("spec").set("nodeName", "a-3");
  EXPECT_EQ(pools_of("train-w-0-1"), std::set<std::string>{"a"});
}

TEST_F(Topology, TheNodeSelectorStrategyLeavesTheChoiceToTheSelector) {
  pool("big", 4);
  Json annotations = annotation(kExclusiveTopology, kPool);
  annotations.set(kNodeSelectorStrategy, "true");
  jobset("train", 2, 2, annotations);
  EXPECT_EQ(bindings_of(c.decide()).size(), 4u);  // both in one pool: nothing else separates them
}

TEST_F(Topology, ARequiredLevelHoldsTheWholeReplicatedJob) {
  pool("a", 3, "east"), pool("b", 3, "east"), pool("c", 5, "west");
  jobset("train", 2, 3, annotation(kRequiredTopology, kZone));
  EXPECT_EQ(pools_of("train"), (std::set<std::string>{"a", "b"}));
  jobset("wide", 2, 3, annotation(kRequiredTopology, kZone));
  EXPECT_EQ(message_for(c.decide(), "wide-w-0-0"),
            "gang wide: 5 of 6 pods fit (6 pods must share one topology.kubernetes.io/zone, at "
            "most 5 fit in one), then for pod wide-w-1-2: 0/11 nodes are available: 11 "
            "Insufficient google.com/tpu (needs 1, at most 0 free on a-0)");
}

TEST_F(Topology, AGangFillsAsFewDomainsAsPossibleWithoutBeingAsked) {
  pool("a", 2, "east"), pool("b", 4, "east"), pool("c", 3, "west"), pool("d", 8, "west");
  jobset("three", 1, 3, Json::object());
  EXPECT_EQ(pools_of("three"), std::set<std::string>{"c"});
  jobset("twelve", 1, 6, Json::object());
  EXPECT_EQ(pools_of("twelve"), std::set<std::string>{"d"});
}

TEST_F(Topology, AGangTooLargeForAPoolTakesTheLargestFirst) {
  pool("a", 1, "east"), pool("b", 2, "east"), pool("c", 4, "east"), pool("d", 9, "west");
  jobset("train", 1, 6, Json::object());
  // One pool, although the other zone would be the tighter fit.
  EXPECT_EQ(pools_of("train"), std::set<std::string>{"d"});
  for (int i = 0; i < 9; ++i) c.pod("w" + std::to_string(i), kOneTpu, "d-" + std::to_string(i));
  EXPECT_EQ(pools_of("train"), (std::set<std::string>{"b", "c"}));
}

TEST_F(Topology, WhatNeedsNoAcceleratorIsPackedWhereNoneIs) {
  pool("tpu", 2);
  for (int i = 0; i < 6; ++i) {
    c.node("cpu-" + std::to_string(i), R"({"cpu":"1"})").make("metadata.labels").set(kPool, "cpu");
  }
  c.jobset("train", R"([{"name":"w"}])");
  const Json& job = c.job("train", "w", 0, 3);
  for (int i = 0; i < 3; ++i) c.member(job, i, R"({"cpu":"1"})");
  EXPECT_EQ(pools_of("train"), std::set<std::string>{"cpu"});
}

TEST_F(Topology, AnyNodeLabelCanBeThePreferredLevel) {
  for (int i = 0; i < 6; ++i) {
    c.node("n-" + std::to_string(i), kTpuHost)
        .make("metadata.labels")
        .set("example.com/island", std::to_string(i % 2));
  }
  jobset("train", 1, 3, annotation(kPreferredTopology, "example.com/island"));
  const auto bound = bindings_of(c.decide());
  EXPECT_EQ(bound.at("train-w-0-0"), "n-0");
  EXPECT_EQ(bound.at("train-w-0-1"), "n-2");
  EXPECT_EQ(bound.at("train-w-0-2"), "n-4");
  jobset("wide", 1, 3, Json::object());
  EXPECT_EQ(bindings_of(c.decide()).size(), 6u);
}

}  // namespace
}  // namespace pelton::decide::placement
