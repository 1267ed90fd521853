// SPDX-License-Identifier: Apache-2.0
// Preferences, pod affinity and anti-affinity, topology spread: one table of small clusters.
#include <gtest/gtest.h>

#include "decide/placement/test_objects.h"

namespace pelton::decide::placement {
namespace {

/// Nodes a-0, a-1 in zone a; b-0, b-1 in zone b; x-0 in none.
class Rules : public ::testing::Test {
 protected:
  Rules() {
    for (const char* name : {"a-0", "a-1", "b-0", "b-1", "x-0"}) {
      Json& labels = c.node(name, R"({"cpu":"8"})").make("metadata").child("labels");
      if (name[0] != 'x') labels.set("zone", std::string(1, name[0]));
      nodes[name] = &labels;
    }
  }
  Json& pod(const std::string& name, const std::string& labels, const std::string& spec,
            const std::string& node = "") {
    Json& made = c.pod(name, R"({"cpu":"1"})", node);
    made.child("metadata").set("labels", parse(labels));
    const Json more = parse(spec);
    for (const auto& [key, value] : more.members()) made.child("spec").set(key, value);
    return made;
  }
  std::string node_of(const std::string& pod) { return bindings_of(c.decide())[pod]; }
  std::string message(const std::string& pod) { return message_for(c.decide(), pod); }

  Cluster c;
  std::map<std::string, Json*> nodes;
};

std::string affinity(const std::string& kind, const std::string& terms) {
  return R"({"affinity":{")" + kind + R"(":{"requiredDuringSchedulingIgnoredDuringExecution":)" +
         terms + "}}}";
}
constexpr const char* kNearWeb =
    R"([{"topologyKey":"zone","labelSelector":{"matchLabels":{"app":"web"}}}])";

TEST_F(Rules, NodeAffinityKnowsEveryOperator) {
  nodes["b-1"]->set("cores", "32");
  nodes["a-1"]->set("cores", "8");
  const struct {
    const char* expression;
    const char* node;
  } cases[] = {
      {R"({"key":"cores","operator":"Gt","values":["8"]})", "b-1"},
      {R"({"key":"cores","operator":"Lt","values":["32"]})", "a-1"},
      {R"({"key":"zone","operator":"In","values":["q","b"]})", "b-0"},
      {R"({"key":"zone","operator":"NotIn","values":["a","b"]})", "x-0"},
      {R"({"key":"zone","operator":"DoesNotExist"})", "x-0"},
      {R"({"key":"cores","operator":"Exists"})", "a-1"},
  };
  int i = 0;
  for (const auto& one : cases) {
    const std::string name = "p" + std::to_string(i++);
    pod(name, "{}",
        R"({"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms":[{"matchExpressions":[)" +
            std::string(one.expression) + "]}]}}}}");
    EXPECT_EQ(node_of(name), one.node) << one.expression;
  }
}

TEST_F(Rules, PreferredNodesWinByWeightAndSoftTaintsBeforeThem) {
  const std::string spec = R"({"affinity":{"nodeAffinity":{
    "preferredDuringSchedulingIgnoredDuringExecution":[
      {"weight":2,"preference":{
        "matchExpressions":[{"key":"zone","operator":"In","values":["a"]}]}},
      {"weight":5,"preference":{
        "matchExpressions":[{"key":"zone","operator":"In","values":["b"]}]}}]}}})";
  pod("p", "{}", spec);
  EXPECT_EQ(node_of("p"), "b-0");
  Cluster soft;
  for (const char* name : {"a-0", "b-0"}) {
    Json& node = soft.node(name, R"({"cpu":"8"})");
    node.child("metadata").child("labels").set("zone", std::string(1, name[0]));
    if (name[0] == 'b') {
      node.make("spec").set("taints", parse(R"([{"key":"k","effect":"PreferNoSchedule"}])"));
    }
  }
  Json& p = soft.pod("p");
  p.child("spec").set("affinity", parse(spec)["affinity"]);
  EXPECT_EQ(bindings_of(soft.decide())["p"], "a-0");
  p.child("spec").set("tolerations", parse(R"([{"key":"k","operator":"Exists"}])"));
  EXPECT_EQ(bindings_of(soft.decide())["p"], "b-0");
}

TEST_F(Rules, PodAffinityGoesWhereTheOthersAre) {
  pod("web", R"({"app":"web"})", "{}", "b-0");
  pod("p", "{}", affinity("podAffinity", kNearWeb));
  EXPECT_EQ(node_of("p"), "b-1");  // of the zone, the node with more room
}

TEST_F(Rules, PodAffinityWithoutCompanyIsRefusedUnlessThePodIsItsOwnCompany) {
  pod("stranger", R"({"app":"other"})", affinity("podAffinity", kNearWeb));
  EXPECT_EQ(message("stranger"),
            "0/5 nodes are available: 5 node(s) didn't match pod affinity rules");
  pod("first", R"({"app":"web"})", affinity("podAffinity", kNearWeb));
  EXPECT_EQ(node_of("first"), "a-0");  // never x-0: that has no zone
}

TEST_F(Rules, APodMustMatchAllRequiredTermsToCountForOne) {
  pod("web", R"({"app":"web"})", "{}", "a-0");
  pod("db", R"({"tier":"db"})", "{}", "a-1");
  pod("p", "{}", affinity("podAffinity", R"([
    {"topologyKey":"zone","labelSelector":{"matchLabels":{"app":"web"}}},
    {"topologyKey":"zone","labelSelector":{"matchLabels":{"tier":"db"}}}])"));
  EXPECT_EQ(node_of("p"), "");
  pod("both", R"({"app":"web","tier":"db"})", "{}", "b-1");
  EXPECT_EQ(node_of("p"), "b-0");
}

TEST_F(Rules, AntiAffinityHoldsInBothDirections) {
  const std::string away = affinity("podAntiAffinity", kNearWeb);
  pod("web", R"({"app":"web"})", "{}", "a-0");
  pod("shy", "{}", away);
  EXPECT_EQ(node_of("shy"), "b-0");
  pod("hermit", R"({"app":"hermit"})", away, "b-0");
  c.pod("blocker", R"({"cpu":"8"})", "x-0");
  pod("web2", R"({"app":"web"})", "{}");
  EXPECT_EQ(node_of("web2"), "a-1");
  pod("full-0", "{}", R"({"containers":[{"resources":{"requests":{"cpu":"7"}}}]})", "a-0");
  pod("full-1", "{}", R"({"containers":[{"resources":{"requests":{"cpu":"8"}}}]})", "a-1");
  EXPECT_NE(message("web2").find("2 node(s) didn't satisfy existing pods anti-affinity rules"),
            std::string::npos)
      << message("web2");
}

TEST_F(Rules, NamespacesAreThePodsOwnUnlessListedOrSelected) {
  c.namespace_("prod", R"({"env":"prod"})");
  c.namespace_("default", "{}");
  pod("web", R"({"app":"web"})", "{}", "a-0").child("metadata").set("namespace", "prod");
  const auto with = [](const std::string& more) {
    return affinity(
        "podAntiAffinity",
        R"([{"topologyKey":"zone","labelSelector":{"matchLabels":{"app":"web"}})" + more + "}]");
  };
  const std::string only_a = R"("nodeSelector":{"zone":"a"},)";
  const struct {
    const char* more;
    bool is_free;
  } cases[] = {
      {"", true},
      {R"(,"namespaces":["prod"])", false},
      {R"(,"namespaceSelector":{})", false},
      {R"(,"namespaceSelector":{"matchLabels":{"env":"prod"}})", false},
      {R"(,"namespaceSelector":{"matchLabels":{"env":"test"}})", true},
  };
  int i = 0;
  for (const auto& one : cases) {
    const std::string name = "p" + std::to_string(i++);
    pod(name, "{}", "{" + only_a + with(one.more).substr(1));
    EXPECT_EQ(!node_of(name).empty(), one.is_free) << one.more;
  }
}

TEST_F(Rules, LabelKeysNarrowATermToThePodsOwnRevision) {
  const std::string spec = affinity("podAntiAffinity", R"([{"topologyKey":"zone",
    "labelSelector":{"matchLabels":{"app":"web"}},"matchLabelKeys":["rev"]}])");
  pod("old-a", R"({"app":"web","rev":"1"})", "{}", "a-0");
  pod("new", R"({"app":"web","rev":"2"})", spec);
  EXPECT_EQ(node_of("new"), "a-1");  // the old revision does not count
  pod("new-a", R"({"app":"web","rev":"2"})", "{}", "a-0");
  EXPECT_EQ(node_of("new")[0], 'b');
}

TEST_F(Rules, PreferredPodsAttractAndRepel) {
  const auto preferred = [](const char* kind, int weight) {
    return R"({"affinity":{")" + std::string(kind) +
           R"(":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":)" +
           std::to_string(weight) +
           R"(,"podAffinityTerm":{"topologyKey":"zone",
               "labelSelector":{"matchLabels":{"app":"web"}}}}]}}})";
  };
  pod("web", R"({"app":"web"})", "{}", "b-0");
  pod("near", "{}", preferred("podAffinity", 10));
  EXPECT_EQ(node_of("near"), "b-1");
  Json& far = pod("far", "{}", preferred("podAntiAffinity", 10));
  far.child("spec").set("nodeSelector", parse(R"({"kubernetes.io/hostname":"b-1"})"));
  EXPECT_EQ(node_of("far"), "b-1");  // a wish, not a rule
  far.child("spec").erase("nodeSelector");
  EXPECT_EQ(node_of("far")[0], 'a');
}

TEST_F(Rules, RequiredSpreadKeepsTheSkew) {
  const std::string spread = R"({"topologySpreadConstraints":[{"topologyKey":"zone","maxSkew":1,
    "whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"web"}}}]})";
  pod("w0", R"({"app":"web"})", spread, "a-0");
  pod("w1", R"({"app":"web"})", spread, "a-1");
  pod("w2", R"({"app":"web"})", spread);
  EXPECT_EQ(node_of("w2")[0], 'b');
  c.pod("full-0", R"({"cpu":"8"})", "b-0");
  c.pod("full-1", R"({"cpu":"8"})", "b-1");
  EXPECT_EQ(message("w2"),
            "0/5 nodes are available: 2 Insufficient cpu (needs 1, at most 0 free on b-0), 2 "
            "node(s) didn't match pod topology spread constraints, 1 node(s) didn't match pod "
            "topology spread constraints (missing required label)");
}

TEST_F(Rules, SpreadCountsDomainsThatThePodMaySelectAndHonorsMinDomains) {
  const auto spread = [](const std::string& more) {
    return R"({"nodeSelector":{"zone":"a"},"topologySpreadConstraints":[{"topologyKey":"zone",
      "maxSkew":1,"whenUnsatisfiable":"DoNotSchedule",
      "labelSelector":{"matchLabels":{"app":"web"}})" +
           more + "}]}";
  };
  pod("w0", R"({"app":"web"})", "{}", "a-0");
  pod("open", R"({"app":"web"})", spread(""));  // zone b is not of its world: no skew
  EXPECT_NE(node_of("open"), "");
  pod("ignoring", R"({"app":"web"})", spread(R"(,"nodeAffinityPolicy":"Ignore")"));
  EXPECT_EQ(node_of("ignoring"), "");
  pod("two", R"({"app":"web"})", spread(R"(,"minDomains":2)"));
  EXPECT_EQ(node_of("two"), "");
}

TEST_F(Rules, SoftSpreadOnlyPrefers) {
  const std::string spread = R"({"topologySpreadConstraints":[{"topologyKey":"zone","maxSkew":1,
    "whenUnsatisfiable":"ScheduleAnyway","labelSelector":{"matchLabels":{"app":"web"}}}]})";
  pod("w0", R"({"app":"web"})", "{}", "a-0");
  Json& next = pod("w1", R"({"app":"web"})", spread);
  EXPECT_EQ(node_of("w1")[0], 'b');
  next.child("spec").set("nodeSelector", parse(R"({"zone":"a"})"));
  EXPECT_EQ(node_of("w1")[0], 'a');
}

TEST_F(Rules, APodThatLeavesDoesNotHoldItsPlaceInTheSpread) {
  Json& there = pod("w0", R"({"app":"web"})", "{}", "a-0");
  pod("w1", R"({"app":"web"})", R"({"nodeSelector":{"zone":"a"},"topologySpreadConstraints":[
    {"topologyKey":"zone","maxSkew":1,"whenUnsatisfiable":"DoNotSchedule",
     "nodeAffinityPolicy":"Ignore","labelSelector":{"matchLabels":{"app":"web"}}}]})");
  EXPECT_EQ(node_of("w1"), "");
  there.child("metadata").set("deletionTimestamp", "2026-01-01T00:00:00Z");
  EXPECT_NE(node_of("w1"), "");
}

}  // namespace
}  // namespace pelton::decide::placement
