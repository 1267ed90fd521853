// SPDX-License-Identifier: Apache-2.0
#include "decide/placement/decide_placement.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/rng.h"
#include "decide/placement/test_objects.h"

namespace pelton::decide::placement {
namespace {

TEST(Placement, ReasonNamesEveryConstraintWithNumbers) {
  Cluster c;
  c.node("node-0", R"({"cpu":"4","google.com/tpu":"1"})");
  c.node("node-1", R"({"cpu":"4","google.com/tpu":"2"})");
  c.node("node-2", R"({"cpu":"4","google.com/tpu":"1"})");
  c.node("node-3", kTpuHost)
      .make("spec")
      .set("taints", parse(R"([{"key":"dedicated","value":"x","effect":"NoSchedule"}])"));
  c.pod("running", kOneTpu, "node-0");
  c.pod("wide", R"({"cpu":"1","google.com/tpu":"4"})");
  EXPECT_EQ(message_for(c.decide(), "wide"),
            "0/4 nodes are available: 3 Insufficient google.com/tpu (needs 4, at most 2 free on "
            "node-1), 1 node(s) had untolerated taint {dedicated: x}");
}

TEST(Placement, ReasonsOfOtherFilters) {
  Cluster c;
  c.node("node-0", R"({"cpu":"2","memory":"1Gi"})").make("spec").set("unschedulable", true);
  c.node("node-1", R"({"cpu":"2","memory":"1Gi"})")
      .make("status")
      .set("conditions", parse(R"([{"type":"Ready","status":"Unknown"}])"));
  c.node("node-2", R"({"cpu":"2","memory":"1Gi","pods":"1"})");
  c.pod("there", "{}", "node-2");
  c.pod("picky").child("spec").set("nodeSelector", parse(R"({"zone":"b"})"));
  c.pod("big", R"({"cpu":"1500m","memory":"2Gi"})");
  const Decision decision = c.decide();
  EXPECT_EQ(message_for(decision, "picky"),
            "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 "
            "node(s) were not ready, 1 node(s) were unschedulable");
  EXPECT_EQ(message_for(decision, "big"),
            "0/3 nodes are available: 1 Insufficient memory (needs 2Gi, at most 1Gi free on "
            "node-2), 1 Too many pods (needs 1, at most 0 free on node-2), 1 node(s) were not "
            "ready, 1 node(s) were unschedulable");
}

TEST(Placement, WithoutNodesItSaysSo) {
  Cluster c;
  c.pod("a");
  EXPECT_EQ(message_for(c.decide(), "a"), "0/0 nodes are available: the cluster has no nodes");
}

TEST(Placement, TolerationsOpenTaintedAndCordonedNodes) {
  Cluster c;
  Json& node = c.node("node-0", kTpuHost);
  node.make("spec").set("taints", parse(R"([{"key":"tpu","value":"yes","effect":"NoExecute"},
                                            {"key":"soft","effect":"PreferNoSchedule"}])"));
  c.pod("equal").child("spec").set("tolerations",
                                   parse(R"([{"key":"tpu","operator":"Equal","value":"yes"}])"));
  c.pod("other-value").child("spec").set("tolerations", parse(R"([{"key":"tpu","value":"no"}])"));
  c.pod("other-effect")
      .child("spec")
      .set("tolerations", parse(R"([{"key":"tpu","operator":"Exists","effect":"NoSchedule"}])"));
  c.pod("all").child("spec").set("tolerations", parse(R"([{"operator":"Exists"}])"));
  EXPECT_EQ(bindings_of(c.decide()), (Bindings{{"equal", "node-0"}, {"all", "node-0"}}));
  node.child("spec").set("unschedulable", true);
  EXPECT_EQ(bindings_of(c.decide()), (Bindings{{"all", "node-0"}}));
}

TEST(Placement, AffinityTermsAreAlternativesAndEmptyOnesMatchNothing) {
  Cluster c;
  c.node("node-0", kTpuHost).child("metadata").set("labels", parse(R"({"cores":"8"})"));
  c.node("node-1", kTpuHost).child("metadata").set("labels", parse(R"({"cores":"32"})"));
  const auto with_terms = [](Json& pod, const std::string& terms) {
    pod.make("spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution")
        .set("nodeSelectorTerms", parse(terms));
  };
  with_terms(c.pod("greater"),
             R"([{}, {"matchExpressions":[{"key":"cores","operator":"Gt","values":["16"]}]}])");
  with_terms(c.pod("by-name"),
             R"([{"matchFields":[{"key":"metadata.name","operator":"In","values":["node-0"]}]}])");
  with_terms(c.pod("nothing"), R"([{}])");
  EXPECT_EQ(bindings_of(c.decide()), (Bindings{{"greater", "node-1"}, {"by-name", "node-0"}}));
}

TEST(Placement, RequestsCountLimitsInitContainersSidecarsAndOverhead) {
  const Json pod = parse(R"({"spec":{
    "initContainers":[
      {"restartPolicy":"Always","resources":{"requests":{"cpu":"200m"}}},
      {"resources":{"requests":{"cpu":"2","memory":"1Gi"}}}],
    "containers":[
      {"resources":{"requests":{"cpu":"500m"},"limits":{"cpu":"4","google.com/tpu":"2"}}},
      {"resources":{"requests":{"memory":"512Mi"}}}],
    "overhead":{"cpu":"100m"}}})");
  EXPECT_EQ(
      requests_of(pod),
      (Amounts{{"cpu", 2300}, {"google.com/tpu", 2}, {"memory", int64_t{1} << 30}, {"pods", 1}}));
}

TEST(Placement, EndedPodsFreeTheirNodeAndAreNotBound) {
  Cluster c;
  c.node("node-0", kTpuHost);
  c.pod("done", kOneTpu, "node-0").make("status").set("phase", "Succeeded");
  c.pod("failed-unbound", kOneTpu).make("status").set("phase", "Failed");
  c.pod("going", kOneTpu).child("metadata").set("deletionTimestamp", "2026-01-01T00:00:00Z");
  c.pod("foreign", kOneTpu).child("spec").set("schedulerName", "other");
  c.pod("next", kOneTpu);
  EXPECT_EQ(bindings_of(c.decide()), (Bindings{{"next", "node-0"}}));
}

TEST(Placement, AcceleratorPodsPackAndOthersKeepAwayFromAccelerators) {
  Cluster c;
  c.node("a-cpu", R"({"cpu":"8"})");
  c.node("b-tpu4", R"({"cpu":"8","google.com/tpu":"4"})");
  c.node("c-tpu1", R"({"cpu":"8","google.com/tpu":"1"})");
  c.pod("cpu-1", R"({"cpu":"1"})");
  c.pod("tpu-1", R"({"cpu":"1","google.com/tpu":"1"})");
  c.pod("tpu-4", R"({"cpu":"1","google.com/tpu":"4"})");
  EXPECT_EQ(bindings_of(c.decide()),
            (Bindings{{"cpu-1", "a-cpu"}, {"tpu-1", "c-tpu1"}, {"tpu-4", "b-tpu4"}}));
}

TEST(Placement, PodsOfOneGroupSpread) {
  Cluster c;
  for (const char* name : {"node-0", "node-1", "node-2"}) c.node(name, R"({"cpu":"8"})");
  for (int i = 0; i < 3; ++i) {
    c.pod("w-" + std::to_string(i), R"({"cpu":"1"})")
        .child("metadata")
        .set("ownerReferences", parse(R"([{"uid":"owner","controller":true}])"));
  }
  EXPECT_EQ(bindings_of(c.decide()),
            (Bindings{{"w-0", "node-0"}, {"w-1", "node-1"}, {"w-2", "node-2"}}));
}

TEST(Placement, PriorityThenAgeThenNameDecideWhoGoesFirst) {
  Cluster c;
  c.node("node-0", kTpuHost);
  c.pod("a", kOneTpu);
  c.pod("b-older", kOneTpu).child("metadata").set("creationTimestamp", "2025-01-01T00:00:00Z");
  EXPECT_EQ(bindings_of(c.decide()), (Bindings{{"b-older", "node-0"}}));
  c.pod("z-important", kOneTpu).child("spec").set("priority", 10);
  EXPECT_EQ(bindings_of(c.decide()), (Bindings{{"z-important", "node-0"}}));
}

TEST(Placement, AGatedPodWaits) {
  Cluster c;
  c.node("node-0", kTpuHost);
  c.pod("a").child("spec").set("schedulingGates", parse(R"([{"name":"quota"}])"));
  EXPECT_EQ(message_for(c.decide(), "a"), "pod default/a has scheduling gates");
}

class GangPlacement : public ::testing::Test {
 protected:
  void add_nodes(int count) {
    for (int i = 0; i < count; ++i) c.node("node-" + std::to_string(i), kTpuHost);
  }
  Cluster c;
};

TEST_F(GangPlacement, IsBoundTogetherOnceComplete) {
  add_nodes(4);
  c.jobset("train", R"([{"name":"w","replicas":1}])");
  const Json& job = c.job("train", "w", 0, 4);
  for (int i = 0; i < 3; ++i) c.member(job, i, kOneTpu);
  EXPECT_EQ(message_for(c.decide(), "train-w-0-0"), "gang train waits for its pods: 3 of 4 exist");
  c.member(job, 3, kOneTpu);
  const Decision decision = c.decide();
  ASSERT_EQ(decision.placements.size(), 1u);
  EXPECT_EQ(decision.placements[0].gang_name, "train");
  EXPECT_EQ(bindings_of(decision), (Bindings{{"train-w-0-0", "node-0"},
                                             {"train-w-0-1", "node-1"},
                                             {"train-w-0-2", "node-2"},
                                             {"train-w-0-3", "node-3"}}));
}

TEST_F(GangPlacement, IsNotBoundInPartAndLeavesItsRoomToOthers) {
  add_nodes(3);
  c.jobset("train", R"([{"name":"w","replicas":1}])");
  const Json& job = c.job("train", "w", 0, 4);
  for (int i = 0; i < 4; ++i) c.member(job, i, kOneTpu);
  c.pod("zz-single", kOneTpu).child("metadata").set("creationTimestamp", "2027-01-01T00:00:00Z");
  const Decision decision = c.decide();
  EXPECT_EQ(bindings_of(decision), (Bindings{{"zz-single", "node-0"}}));
  EXPECT_EQ(message_for(decision, "train-w-0-0"),
            "gang train: 3 of 4 pods fit, then for pod train-w-0-3: 0/3 nodes are available: 3 "
            "Insufficient google.com/tpu (needs 1, at most 0 free on node-0)");
}

TEST_F(GangPlacement, WaitsForEveryJobOfAnyOrder) {
  add_nodes(4);
  c.jobset("train", R"([{"name":"w","replicas":2}])");
  const Json& first = c.job("train", "w", 0, 2);
  for (int i = 0; i < 2; ++i) c.member(first, i, kOneTpu);
  EXPECT_EQ(message_for(c.decide(), "train-w-0-0"), "gang train waits for its Jobs: 1 of 2 exist");
  Json& second = c.job("train", "w", 1, 2);
  for (int i = 0; i < 2; ++i) c.member(second, i, kOneTpu);
  second.child("spec").set("suspend", true);
  EXPECT_TRUE(c.decide().placements.empty());
  second.child("spec").set("suspend", false);
  EXPECT_EQ(bindings_of(c.decide()).size(), 4u);
}

TEST_F(GangPlacement, OfAnInOrderStartIsWhatIsAdmittedNow) {
  add_nodes(3);
  Json& jobset = c.jobset("train", R"([{"name":"driver"},{"name":"w","replicas":2}])");
  jobset.child("spec").set("startupPolicy", parse(R"({"startupPolicyOrder":"InOrder"})"));
  const Json& driver = c.job("train", "driver", 0, 1);
  Json& leader = c.member(driver, 0, kOneTpu);
  EXPECT_EQ(bindings_of(c.decide()).size(), 1u);
  leader.child("spec").set("nodeName", "node-0");
  const Json& first = c.job("train", "w", 0, 1);
  c.member(first, 0, kOneTpu);
  EXPECT_TRUE(c.decide().placements.empty());  // its sister is still to come
  const Json& second = c.job("train", "w", 1, 1);
  c.member(second, 0, kOneTpu);
  EXPECT_EQ(bindings_of(c.decide()),
            (Bindings{{"train-w-0-0", "node-1"}, {"train-w-1-0", "node-2"}}));
}

TEST_F(GangPlacement, AReplacementJoinsItsRunningGangAlone) {
  add_nodes(4);
  c.jobset("train", R"([{"name":"w"}])");
  const Json& job = c.job("train", "w", 0, 4);
  c.member(job, 0, kOneTpu, "node-0");
  c.member(job, 1, kOneTpu, "node-1");
  c.member(job, 5, kOneTpu);  // in the place of two that are gone; the other is not yet made
  const Decision decision = c.decide();
  ASSERT_EQ(decision.placements.size(), 1u);
  EXPECT_EQ(decision.placements[0].gang, "");
  EXPECT_EQ(bindings_of(decision), (Bindings{{"train-w-0-5", "node-2"}}));
}

TEST_F(GangPlacement, OfAFormerAttemptIsLeftAlone) {
  add_nodes(4);
  c.jobset("train", R"([{"name":"w"}])").make("status").set("restarts", 1);
  const Json& job = c.job("train", "w", 0, 1, 0);
  c.member(job, 0, kOneTpu);
  EXPECT_EQ(message_for(c.decide(), "train-w-0-0"),
            "gang train: a later attempt of the JobSet has begun");
}

TEST_F(GangPlacement, OfDifferentShapesIsSearchedWhereGreedFails) {
  // Largest first and best fit puts 5+4 on one node and 4+3+2 on the other: 2 is left without
  // room. 5+3+2 and 4+4+2 is the only way.
  c.node("a", R"({"cpu":"8","google.com/tpu":"10"})");
  c.node("b", R"({"cpu":"8","google.com/tpu":"10"})");
  c.jobset("train", R"([{"name":"w"}])");
  const Json& job = c.job("train", "w", 0, 6);
  int index = 0;
  for (int tpus : {5, 4, 4, 3, 2, 2}) {
    c.member(job, index++, R"({"google.com/tpu":")" + std::to_string(tpus) + "\"}");
  }
  EXPECT_EQ(bindings_of(c.decide()).size(), 6u);
}

TEST_F(GangPlacement, ARecordedPlanIsFinishedBeforeAnythingElse) {
  add_nodes(3);
  c.jobset("train", R"([{"name":"w"}])");
  const Json& job = c.job("train", "w", 0, 2);
  c.member(job, 0, kOneTpu, "node-0");
  c.member(job, 1, kOneTpu)
      .child("metadata")
      .set("annotations", Json::object({{kPlannedNodeAnnotation, "node-2"}}));
  c.pod("urgent-0", kOneTpu).child("spec").set("priority", 100);
  c.pod("urgent-1", kOneTpu).child("spec").set("priority", 99);
  EXPECT_EQ(bindings_of(c.decide()), (Bindings{{"train-w-0-1", "node-2"}, {"urgent-0", "node-1"}}));
}

TEST(Explain, TellsEachStateOfAPod) {
  Cluster c;
  c.node("node-0", kTpuHost);
  c.pod("bound", kOneTpu, "node-0");
  c.pod("small");
  c.pod("stuck", kOneTpu);
  c.pod("ended").make("status").set("phase", "Failed");
  EXPECT_EQ(c.explain("bound").message, "the pod is bound to node node-0");
  EXPECT_EQ(c.explain("small").state, PodExplanation::State::Schedulable);
  EXPECT_EQ(c.explain("small").node_name, "node-0");
  EXPECT_EQ(c.explain("ended").message, "the pod has ended (Failed)");
  const Json json = c.explain("stuck").to_json();
  EXPECT_EQ(json["state"].as_string(), "Unschedulable");
  EXPECT_EQ(json["totalNodes"].as_int(), 1);
  EXPECT_EQ(json["constraints"][size_t{0}]["reason"].as_string(), "Insufficient google.com/tpu");
  EXPECT_EQ(json["constraints"][size_t{0}]["detail"].as_string(),
            "needs 1, at most 0 free on node-0");
  EXPECT_EQ(json["message"].as_string(),
            "0/1 nodes are available: 1 Insufficient google.com/tpu (needs 1, at most 0 free on "
            "node-0)");
  auto none = explain_pod({}, "default", "x");
  EXPECT_EQ(none.status().code(), base::Code::NotFound);
}

// The rules of a placement, stated once more and as plainly as possible.

bool may_run(const Shape& shape, const Node& node) {
  for (const Taint& taint : node.taints) {
    bool is_tolerated = false;
    for (const Toleration& t : shape.tolerations) is_tolerated |= t.tolerates(taint);
    if (!is_tolerated) return false;
  }
  return shape.node_selector.matches(node.labels) && !node.is_unschedulable;
}

/// Room per node and resource, with what is bound taken off.
using RoomLeft = std::vector<Amounts>;

RoomLeft room_in(const Observed& o) {
  RoomLeft left;
  for (const Node& node : o.nodes) {
    Amounts& own = left.emplace_back(node.allocatable);
    for (const auto& [resource, amount] : node.used) own[resource] -= amount;
  }
  return left;
}

bool has_room(const RoomLeft& left, const Shape& shape, size_t node) {
  for (const auto& [resource, amount] : shape.requests) {
    auto it = left[node].find(resource);
    if (it == left[node].end() || it->second < amount) return false;
  }
  return true;
}

bool can_place_all(const Observed& o, const std::vector<const Pod*>& pods, size_t at,
                   RoomLeft& left) {
  if (at == pods.size()) return true;
  const Shape& shape = o.shapes[pods[at]->shape];
  for (size_t n = 0; n < o.nodes.size(); ++n) {
    if (!may_run(shape, o.nodes[n]) || !has_room(left, shape, n)) continue;
    for (const auto& [resource, amount] : shape.requests) left[n][resource] -= amount;
    const bool is_done = can_place_all(o, pods, at + 1, left);
    for (const auto& [resource, amount] : shape.requests) left[n][resource] += amount;
    if (is_done) return true;
  }
  return false;
}

Cluster random_cluster(base::Rng& rng) {
  Cluster c;
  const int nodes = static_cast<int>(rng.between(1, 4));
  for (int n = 0; n < nodes; ++n) {
    Json& node =
        c.node("node-" + std::to_string(n), R"({"cpu":")" + std::to_string(rng.between(1, 4)) +
                                                R"(","pods":"5","google.com/tpu":")" +
                                                std::to_string(rng.between(0, 3)) + "\"}");
    if (rng.chance(0.2)) node.make("spec").set("unschedulable", true);
    if (rng.chance(0.3)) {
      node.make("spec").set("taints", parse(R"([{"key":"k","effect":"NoSchedule"}])"));
    }
    node.child("metadata").child("labels").set("zone", rng.chance(0.5) ? "a" : "b");
  }
  const auto requests = [&] {
    return R"({"cpu":")" + std::to_string(rng.between(0, 2)) + R"(","google.com/tpu":")" +
           std::to_string(rng.between(0, 2)) + "\"}";
  };
  const auto vary = [&](Json& pod) {
    if (rng.chance(0.3)) pod.child("spec").set("nodeSelector", parse(R"({"zone":"a"})"));
    if (rng.chance(0.5)) {
      pod.child("spec").set("tolerations", parse(R"([{"key":"k","operator":"Exists"}])"));
    }
    if (rng.chance(0.3)) pod.child("spec").set("priority", rng.between(0, 2));
  };
  for (int gang = 0; gang < 2; ++gang) {
    const std::string name = "g" + std::to_string(gang);
    c.jobset(name, R"([{"name":"w"}])");
    const int size = static_cast<int>(rng.between(1, 4));
    const Json& job = c.job(name, "w", 0, size);
    const int existing = rng.chance(0.8) ? size : size - 1;
    for (int i = 0; i < existing; ++i) vary(c.member(job, i, requests()));
  }
  for (int64_t i = rng.between(0, 2); i > 0; --i) vary(c.pod("p" + std::to_string(i), requests()));
  return c;
}

/// Replays the decision: it may only use what is there, and what it leaves must not have fitted.
void check_decision(const Observed& o, const Decision& decision) {
  RoomLeft left = room_in(o);
  std::map<std::string, size_t> node_index;
  for (size_t n = 0; n < o.nodes.size(); ++n) node_index[o.nodes[n].name] = n;
  std::map<std::string, const Pod*> pods;
  for (const Pod& pod : o.pending) pods[pod.name] = &pod;
  std::set<std::string> seen;
  for (const Placement& placement : decision.placements) {
    if (!placement.gang.empty()) {
      size_t members = 0;
      for (const Pod& pod : o.pending) members += pod.gang == placement.gang ? 1 : 0;
      EXPECT_EQ(placement.bindings.size(), members) << "a gang in part";
      int64_t expected = 0;
      for (const auto& [uid, job] : o.gangs.at(placement.gang).jobs) expected += job.expected_pods;
      EXPECT_EQ(placement.bindings.size(), static_cast<size_t>(expected));
    }
    for (const Binding& binding : placement.bindings) {
      EXPECT_TRUE(seen.insert(binding.pod_name).second) << "bound twice";
      const Shape& shape = o.shapes[pods.at(binding.pod_name)->shape];
      const size_t node = node_index.at(binding.node_name);
      EXPECT_TRUE(may_run(shape, o.nodes[node]));
      EXPECT_TRUE(has_room(left, shape, node)) << binding.pod_name << " overcommits";
      for (const auto& [resource, amount] : shape.requests) left[node][resource] -= amount;
    }
  }
  std::map<std::string, std::vector<const Pod*>> refused;  // by gang or pod
  for (const Unplaced& unplaced : decision.unplaced) {
    EXPECT_TRUE(seen.insert(unplaced.pod_name).second) << "bound and refused";
    EXPECT_FALSE(unplaced.why.message().empty());
    if (unplaced.why.is_waiting) continue;
    const Pod* pod = pods.at(unplaced.pod_name);
    refused[pod->gang.empty() ? pod->name : pod->gang].push_back(pod);
  }
  EXPECT_EQ(seen.size(), o.pending.size()) << "a pod without an answer";
  // Later units only took room, so whatever fits into what is left had fitted before.
  for (const auto& [who, group] : refused) {
    EXPECT_FALSE(can_place_all(o, group, 0, left)) << who << " was refused although it fits";
  }
}

TEST(PlacementProperty, SmallClustersAgreeWithBruteForce) {
  int placed = 0, refused = 0;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Rng rng(seed);
    const Cluster cluster = random_cluster(rng);
    const Observed observed = cluster.observed();
    const Decision decision = decide_placement(observed);
    check_decision(observed, decision);
    EXPECT_EQ(decision.placements, decide_placement(observed).placements);
    placed += static_cast<int>(decision.placements.size());
    refused += static_cast<int>(decision.unplaced.size());
    if (HasFailure()) return;
  }
  // The generator must not drift into the trivial.
  EXPECT_GT(placed, 400);
  EXPECT_GT(refused, 400);
}

}  // namespace
}  // namespace pelton::decide::placement
