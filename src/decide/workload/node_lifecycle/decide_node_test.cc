// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/node_lifecycle/decide_node.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "api/object.h"
#include "api/yaml.h"
#include "decide/workload/node_lifecycle/taints.h"
#include "decide/workload/test_cluster.h"

namespace pelton::decide::workload {
namespace {

using base::Duration;
using base::Json;

class NodeTest : public testing::Test {
 protected:
  NodeTest() {
    cluster_.create(
        *api::parse_yaml("{apiVersion: v1, kind: Node, metadata: {name: node-0},"
                         " status: {conditions: [{type: Ready, status: 'True'},"
                         " {type: DiskPressure, status: 'False'}]}}"));
    renew();
    pod("a", "");
  }

  void renew() {
    lease_ = Json::object(
        {{"spec", Json::object({{"renewTime", base::format_micro_time(cluster_.now)}})}});
  }
  void pod(const std::string& name, const std::string& tolerations) {
    cluster_.create(*api::parse_yaml("{apiVersion: v1, kind: Pod, metadata: {name: " + name +
                                     ", namespace: default, finalizers: [x]}, spec: {nodeName: "
                                     "node-0, tolerations: [" +
                                     tolerations + "]}, status: {phase: Running}}"));
  }
  Json& node() { return *cluster_.find({"Node", "", "node-0"}); }
  Json& pod(const std::string& name) { return *cluster_.find("Pod", name); }

  Decision look() {
    NodeObserved observed;
    observed.node = cluster_.find({"Node", "", "node-0"});
    observed.lease = &lease_;
    observed.is_every_node_silent = is_everybody_silent_;
    for (const auto& [key, object] : cluster_.objects) {
      if (std::get<0>(key) == "Pod") observed.pods.push_back(&object);
    }
    return decide_node(observed, options_, cluster_.now);
  }
  void settle() {
    for (int i = 0; i < 20; ++i) {
      const Decision decision = look();
      if (decision.actions.empty()) return;
      for (const Action& action : decision.actions) {
        if (!cluster_.apply(action)) break;
      }
    }
    FAIL() << "does not settle";
  }
  void after(int64_t seconds) {
    cluster_.now = cluster_.now + Duration::seconds(seconds);
    settle();
  }
  std::string ready() { return (*api::find_condition(node(), "Ready"))["status"].as_string(); }
  std::vector<std::string> taints() {
    std::vector<std::string> out;
    for (const Json& taint : node()["spec"]["taints"].items()) {
      out.push_back(taint["key"].as_string() + ":" + taint["effect"].as_string());
    }
    return out;
  }

  TestCluster cluster_;
  NodeLifecycleOptions options_;
  Json lease_;
  bool is_everybody_silent_ = false;
};

TEST_F(NodeTest, a_renewed_lease_keeps_it_ready_and_it_is_looked_at_when_that_ends) {
  after(4);
  EXPECT_EQ(ready(), "True");
  EXPECT_EQ(look().look_again->ns(), Duration::seconds(1).ns());
  EXPECT_FALSE(api::is_being_deleted(pod("a")));
}

TEST_F(NodeTest, silence_beyond_the_grace_makes_it_unknown_tainted_and_asks_its_pods_to_go) {
  after(5);
  EXPECT_EQ(ready(), "Unknown");
  EXPECT_EQ((*api::find_condition(node(), "DiskPressure"))["status"].as_string(), "Unknown");
  EXPECT_EQ(taints(), (std::vector<std::string>{"node.kubernetes.io/unreachable:NoSchedule",
                                                "node.kubernetes.io/unreachable:NoExecute"}));
  EXPECT_TRUE(api::is_being_deleted(pod("a")));
  EXPECT_TRUE(api::is_condition_true(pod("a"), "DisruptionTarget"));
  EXPECT_EQ(pod("a")["status"]["phase"].as_string(), "Running") << "unreachable is not dead";
}

TEST_F(NodeTest, declares_its_pods_failed_only_after_they_must_have_ended_by_themselves) {
  after(5);
  after(1);
  EXPECT_EQ(pod("a")["status"]["phase"].as_string(), "Running");
  after(1);
  EXPECT_EQ(pod("a")["status"]["phase"].as_string(), "Failed");
  EXPECT_EQ(pod("a")["metadata"]["deletionGracePeriodSeconds"].as_int(), 0);
  EXPECT_TRUE(look().actions.empty()) << "said once";
}

TEST_F(NodeTest, a_pod_that_completed_unseen_is_not_deleted_with_its_silent_node) {
  after(6);
  pod("b", "");
  // It is marked already, so that its deletion comes without a write that would fail.
  ASSERT_TRUE(api::set_condition(pod("b"),
                                 {"DisruptionTarget", "True", "DeletionByTaintManager",
                                  "Taint manager: deleting due to NoExecute taint"},
                                 cluster_.now));
  const std::string seen = api::resource_version_of(pod("b"));
  const Decision decision = look();
  const auto removal = std::find_if(
      decision.actions.begin(), decision.actions.end(),
      [](const Action& a) { return a.verb == Action::Verb::Delete && a.target.name == "b"; });
  ASSERT_NE(removal, decision.actions.end());
  EXPECT_EQ(removal->resource_version, seen);
}

TEST_F(NodeTest, the_whole_way_takes_at_most_ten_seconds) {
  EXPECT_LE((options_.grace + options_.force_after).ns(), Duration::seconds(9).ns());
}

TEST_F(NodeTest, a_node_that_comes_back_loses_its_taints_and_keeps_pods_that_stayed) {
  pod("b", "{key: node.kubernetes.io/unreachable, operator: Exists, tolerationSeconds: 60}");
  after(6);
  EXPECT_FALSE(api::is_being_deleted(pod("b")));
  renew();
  Json next = node();
  api::set_condition(next, {"Ready", "True", "KubeletReady", ""}, cluster_.now);
  ASSERT_TRUE(cluster_.update(next, true));
  settle();
  EXPECT_TRUE(taints().empty());
  for (int i = 0; i < 30; ++i) {
    after(3);
    renew();
  }
  EXPECT_FALSE(api::is_being_deleted(pod("b")));
}

TEST_F(NodeTest, toleration_delays_eviction_by_its_seconds) {
  pod("b", "{key: node.kubernetes.io/unreachable, operator: Exists, tolerationSeconds: 60}");
  pod("c", "{operator: Exists}");
  after(5);
  EXPECT_FALSE(api::is_being_deleted(pod("b")));
  after(59);
  EXPECT_FALSE(api::is_being_deleted(pod("b")));
  after(1);
  EXPECT_TRUE(api::is_being_deleted(pod("b")));
  EXPECT_FALSE(api::is_being_deleted(pod("c")));
}

TEST_F(NodeTest, nothing_is_evicted_while_every_node_is_silent) {
  is_everybody_silent_ = true;
  after(60);
  EXPECT_EQ(ready(), "Unknown");
  EXPECT_FALSE(api::is_being_deleted(pod("a")));
  EXPECT_TRUE(look().look_again);
}

TEST_F(NodeTest, silence_from_before_the_controllers_began_does_not_count) {
  cluster_.now = cluster_.now + Duration::seconds(600);
  options_.listening_since = cluster_.now;
  settle();
  EXPECT_EQ(ready(), "True");
  after(5);
  EXPECT_EQ(ready(), "Unknown");
}

TEST_F(NodeTest, an_unready_node_that_is_heard_is_tainted_not_ready) {
  Json next = node();
  api::set_condition(next, {"Ready", "False", "KubeletNotReady", ""}, cluster_.now);
  ASSERT_TRUE(cluster_.update(next, true));
  settle();
  EXPECT_EQ(taints()[0], "node.kubernetes.io/not-ready:NoSchedule");
}

TEST_F(NodeTest, pods_of_a_node_without_an_object_go_after_a_while) {
  cluster_.remove({"Node", "", "node-0"}, "");
  after(39);
  EXPECT_FALSE(api::is_being_deleted(pod("a")));
  after(1);
  EXPECT_TRUE(api::is_being_deleted(pod("a")));
  EXPECT_EQ(pod("a")["status"]["phase"].as_string(), "Failed");
}

TEST(Taints, tolerations_match_by_key_value_and_effect) {
  const Json taint = *api::parse_yaml("{key: k, value: v, effect: NoExecute}");
  const std::vector<std::pair<const char*, bool>> cases = {
      {"{key: k, value: v}", true},
      {"{key: k, value: w}", false},
      {"{key: k, operator: Exists}", true},
      {"{operator: Exists}", true},
      {"{}", false},
      {"{key: k, operator: Exists, effect: NoSchedule}", false},
      {"{key: j, operator: Exists}", false}};
  for (const auto& [toleration, expected] : cases) {
    EXPECT_EQ(tolerates(*api::parse_yaml(toleration), taint), expected) << toleration;
  }
}

}  // namespace
}  // namespace pelton::decide::workload
