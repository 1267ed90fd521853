// SPDX-License-Identifier: Apache-2.0
// What explain suggests is done to the objects, as a user would, and the pod becomes schedulable.
#include "decide/placement/suggest.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "decide/placement/test_objects.h"

namespace pelton::decide::placement {
namespace {

constexpr const char* kRequired = "requiredDuringSchedulingIgnoredDuringExecution";

std::vector<std::string> suggestions_for(const Cluster& c, const std::string& pod) {
  std::vector<std::string> out;
  for (const Suggestion& s : c.explain(pod).suggestions) out.push_back(s.to_string());
  return out;
}

using Lines = std::vector<std::string>;

TEST(Suggest, NamesTheNodeTheTaintTheRequestAndTheNodesToAdd) {
  Cluster c;
  c.node("a", R"({"cpu":"4","google.com/tpu":"4"})");
  c.node("b", R"({"cpu":"4","google.com/tpu":"4"})")
      .make("spec")
      .set("taints", parse(R"([{"key":"dedicated","value":"x","effect":"NoSchedule"}])"));
  c.node("c", R"({"cpu":"4","google.com/tpu":"4"})").make("spec").set("unschedulable", true);
  c.pod("there", R"({"google.com/tpu":"1"})", "a");
  c.pod("p", R"({"cpu":"1","google.com/tpu":"4"})");
  EXPECT_EQ(suggestions_for(c, "p"), (Lines{"uncordon c", "remove taint {dedicated: x} from b",
                                            "lower the request of google.com/tpu to 3 per pod",
                                            "add 1 node with 4 cpu, 4 google.com/tpu"}));
  const Json json = c.explain("p").to_json();
  EXPECT_EQ(json["suggestions"][3]["changes"][0]["add"][0]["allocatable"]["cpu"].as_string(), "4");
  EXPECT_EQ(json["suggestions"][1]["changes"][0]["taint"]["effect"].as_string(), "NoSchedule");
}

TEST(Suggest, CountsTheNodesThatAGangLacks) {
  Cluster c;
  for (const char* name : {"a", "b"}) c.node(name, R"({"cpu":"8","google.com/tpu":"4"})");
  c.jobset("g", R"([{"name":"w"}])");
  const Json& job = c.job("g", "w", 0, 4);
  for (int i = 0; i < 4; ++i) c.member(job, i, R"({"google.com/tpu":"4"})");
  EXPECT_EQ(suggestions_for(c, "g-w-0-0"),
            (Lines{"lower the request of google.com/tpu to 2 per pod",
                   "add 2 nodes with 8 cpu, 4 google.com/tpu"}));
}

TEST(Suggest, KnowsWhichWishStandsInTheWay) {
  Cluster c;
  c.node("a", R"({"cpu":"8"})").make("metadata.labels").set("zone", "a");
  c.pod("p", R"({"cpu":"1"})").child("spec").set("nodeSelector", parse(R"({"zone":"b"})"));
  EXPECT_EQ(suggestions_for(c, "p"),
            (Lines{"remove nodeSelector zone=b", "add 1 node with 8 cpu, labelled zone=b"}));
}

TEST(Suggest, CombinesWhereNothingHelpsAlone) {
  Cluster c;
  c.node("a", R"({"cpu":"1"})").make("metadata.labels").set("zone", "a");
  c.pod("there", R"({"cpu":"1"})", "a");
  Json& p = c.pod("p", R"({"cpu":"1"})");
  // Near a pod that does not exist, so that new nodes alone do not help either.
  p.make("spec.affinity.podAffinity").set(kRequired, parse(R"([{"topologyKey":"zone",
                                 "labelSelector":{"matchLabels":{"app":"web"}}}])"));
  EXPECT_EQ(suggestions_for(c, "p"),
            (Lines{"remove the required pod affinity and add 1 node with 1 cpu"}));
}

TEST(Suggest, OfAGatedPodIsToOpenTheGate) {
  Cluster c;
  c.node("a", R"({"cpu":"1"})");
  c.pod("p").child("spec").set("schedulingGates", parse(R"([{"name":"quota"}])"));
  EXPECT_EQ(suggestions_for(c, "p"), Lines{"remove the scheduling gates"});
}

TEST(Suggest, OfAnExclusiveJobIsADomainOfItsOwn) {
  Cluster c;
  const std::string pool = "cloud.google.com/gke-nodepool";
  for (int i = 0; i < 2; ++i) {
    c.node("n" + std::to_string(i), kTpuHost).make("metadata.labels").set(pool, "one");
  }
  c.jobset("g", R"([{"name":"w","replicas":2}])");
  for (int j = 0; j < 2; ++j) {
    const Json& job = c.job("g", "w", j, 2);
    for (int i = 0; i < 2; ++i) {
      Json& pod = c.member(job, i, kOneTpu);
      pod.make("metadata.labels").set(kJobKeyLabel, "key-" + std::to_string(j));
      pod.make("metadata.annotations").set(kExclusiveTopology, pool);
    }
  }
  const Lines lines = suggestions_for(c, "g-w-0-0");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].substr(0, 39), "add 2 nodes with 4 cpu, 1 google.com/tp");
}

// ---- as a user would ----------------------------------------------------------------------------

/// Carries the change out on the objects of the cluster; `pods`: those that it is about.
void carry_out(Cluster& c, const std::vector<Json*>& pods, const Change& change) {
  for (const std::string& name : change.nodes) {
    Json& spec = c.find_node(name).child("spec");
    if (change.kind == Change::Kind::Uncordon) spec.erase("unschedulable");
    if (change.kind != Change::Kind::RemoveTaint) continue;
    std::erase_if(spec.child("taints").mutable_items(), [&](const Json& taint) {
      return taint["key"].as_string() == change.taint.key &&
             taint["effect"].as_string() == change.taint.effect;
    });
  }
  for (const Node& node : change.added) {
    Json allocatable = Json::object();
    for (const auto& [name, amount] : node.allocatable) {
      allocatable.set(name, format_amount(name, amount));
    }
    c.node(node.name, allocatable.dump()).child("metadata").set("labels", node.labels);
  }
  for (Json* pod : pods) {
    Json& spec = pod->child("spec");
    switch (change.kind) {
      case Change::Kind::LowerRequest: {
        Json& requests = spec.child("containers").mutable_items()[0].make("resources.requests");
        const int64_t now = api::amounts_from(requests)[change.resource];
        if (now > change.amount) {
          requests.set(change.resource, format_amount(change.resource, change.amount));
        }
        break;
      }
      case Change::Kind::RemoveNodeSelector:
        spec.child("nodeSelector").erase(change.key);
        break;
      case Change::Kind::RemoveNodeAffinity:
        spec.child("affinity").erase("nodeAffinity");
        break;
      case Change::Kind::RemovePodAffinity:
        spec.child("affinity").erase("podAffinity");
        break;
      case Change::Kind::RemovePodAntiAffinity:
        spec.child("affinity").erase("podAntiAffinity");
        break;
      case Change::Kind::RemoveSpread:
        spec.erase("topologySpreadConstraints");
        break;
      case Change::Kind::RemoveAnnotation:
        pod->make("metadata.annotations").erase(change.key);
        break;
      case Change::Kind::RemoveGates:
        spec.erase("schedulingGates");
        break;
      default:
        break;
    }
  }
}

int pick(int below) {
  return *rc::gen::inRange(0, below);
}

void random_wishes(Json& pod) {
  pod.make("metadata.labels").set("app", pick(2) == 0 ? "x" : "y");
  Json& spec = pod.child("spec");
  if (pick(4) == 0) spec.set("nodeSelector", Json::object({{"zone", pick(2) == 0 ? "a" : "c"}}));
  if (pick(4) == 0) {
    spec.set("tolerations", parse(R"([{"key":"k","operator":"Exists"}])"));
  }
  const auto term = [] {
    Json out = Json::object({{"topologyKey", pick(2) == 0 ? "zone" : "kubernetes.io/hostname"}});
    out.make("labelSelector.matchLabels").set("app", pick(2) == 0 ? "x" : "y");
    return out;
  };
  for (const char* kind : {"podAffinity", "podAntiAffinity"}) {
    if (pick(4) == 0) {
      pod.make("spec.affinity").child(kind).set(kRequired, Json::array({term()}));
    }
  }
  if (pick(5) == 0) {
    Json constraint = term();
    constraint.set("maxSkew", 1);
    constraint.set("whenUnsatisfiable", "DoNotSchedule");
    pod.child("spec").set("topologySpreadConstraints", Json::array({std::move(constraint)}));
  }
}

std::string random_requests() {
  return R"({"cpu":")" + std::to_string(pick(3)) + R"(","google.com/tpu":")" +
         std::to_string(pick(4)) + "\"}";
}

void fill(Cluster& c) {
  const int nodes = pick(4);
  for (int n = 0; n < nodes; ++n) {
    Json& node = c.node("n" + std::to_string(n), R"({"cpu":")" + std::to_string(1 + pick(3)) +
                                                     R"(","google.com/tpu":")" +
                                                     std::to_string(pick(4)) + "\"}");
    node.make("metadata.labels").set("zone", pick(2) == 0 ? "a" : "b");
    if (pick(4) == 0) node.make("spec").set("unschedulable", true);
    if (pick(4) == 0) {
      node.make("spec").set("taints", parse(R"([{"key":"k","effect":"NoSchedule"}])"));
    }
  }
  for (int i = nodes > 0 ? pick(3) : 0; i > 0; --i) {
    random_wishes(
        c.pod("bound-" + std::to_string(i), random_requests(), "n" + std::to_string(pick(nodes))));
  }
  c.jobset("g", R"([{"name":"w"}])");
  const int pods = 1 + pick(3);
  const Json& job = c.job("g", "w", 0, pods);
  const std::string requests = random_requests();
  for (int i = 0; i < pods; ++i) random_wishes(c.member(job, i, requests));
}

TEST(SuggestProperty, EverySuggestionHelpsWhenItIsCarriedOut) {
  int helped = 0, speechless = 0;
  const bool ok = rc::check([&] {
    Cluster c;
    fill(c);
    const PodExplanation before = c.explain("g-w-0-0");
    if (before.state != PodExplanation::State::Unschedulable) return;
    if (before.suggestions.empty()) ++speechless;
    for (const Suggestion& suggestion : before.suggestions) {
      Cluster changed = c;
      std::vector<Json*> pods;
      for (int i = 0; changed.has_pod("g-w-0-" + std::to_string(i)); ++i) {
        pods.push_back(&changed.find_pod("g-w-0-" + std::to_string(i)));
      }
      for (const Change& change : suggestion.changes) carry_out(changed, pods, change);
      if (changed.explain("g-w-0-0").state != PodExplanation::State::Schedulable) {
        RC_FAIL(suggestion.to_string() + "\n" + changed.explain("g-w-0-0").message);
      }
      ++helped;
    }
  });
  EXPECT_TRUE(ok);
  EXPECT_GT(helped, 50);
  EXPECT_EQ(speechless, 0);
}

}  // namespace
}  // namespace pelton::decide::placement
