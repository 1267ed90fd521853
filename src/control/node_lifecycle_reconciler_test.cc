// SPDX-License-Identifier: Apache-2.0
#include "control/node_lifecycle_reconciler.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "api/yaml.h"

namespace pelton::control {
namespace {

using base::Duration;
using base::Instant;
using base::Json;

/// Two nodes with a pod each, as a cache shows them.
class SilenceTest : public ::testing::Test {
 protected:
  SilenceTest() {
    for (const std::string name : {"a", "b"}) {
      put("{apiVersion: v1, kind: Node, metadata: {name: " + name +
          "}, status: {conditions: [{type: Ready, status: 'True'}]}}");
      put("{apiVersion: v1, kind: Pod, metadata: {name: " + name +
          ", namespace: d, uid: u}, spec: {nodeName: " + name + "}, status: {phase: Running}}");
      renew(name);
    }
  }
  void put(const std::string& yaml) {
    Json object = *api::parse_yaml(yaml);
    object.make("metadata.resourceVersion") = std::to_string(++revision_);
    cache_.put(std::move(object));
  }
  void renew(const std::string& node) {
    put("{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: " + node +
        ", namespace: kube-node-lease}, spec: {renewTime: '" + base::format_micro_time(now_) +
        "'}}");
    look(node);
  }
  /// As the write of an earlier plan, or of the node itself.
  void say(const std::string& node, const std::string& ready, bool is_tainted) {
    put("{apiVersion: v1, kind: Node, metadata: {name: " + node + "}, spec: {taints: [" +
        (is_tainted ? "{key: node.kubernetes.io/unreachable, effect: NoExecute, timeAdded: '" +
                          base::format_time(now_) + "'}"
                    : "") +
        "]}, status: {conditions: [{type: Ready, status: '" + ready + "'}]}}");
  }
  Plan look(const std::string& node) { return reconciler_.reconcile({"", node}, cache_, now_); }
  bool evicts(const std::string& node) {
    const Plan plan = look(node);
    return std::any_of(plan.commands.begin(), plan.commands.end(),
                       [](const auto& command) { return std::holds_alternative<Delete>(command); });
  }
  bool writes_anything(const std::string& node) { return !look(node).commands.empty(); }
  void after(int64_t seconds) { now_ = now_ + Duration::seconds(seconds); }

  Instant now_ = Instant::from_unix_seconds(1'700'000'000);
  client::Cache cache_;
  uint64_t revision_ = 0;
  NodeLifecycleReconciler reconciler_{{}};
};

TEST_F(SilenceTest, ANodeThatIsSilentAloneLosesItsPods) {
  for (int i = 0; i < 5; ++i) {
    after(1);
    renew("a");
  }
  EXPECT_TRUE(writes_anything("b"));
  say("b", "Unknown", true);
  EXPECT_TRUE(evicts("b"));
  EXPECT_FALSE(evicts("a"));
}

TEST_F(SilenceTest, TheFirstWhoIsHeardAfterASilenceOfAllGivesTheOthersTimeToFollow) {
  after(30);  // the disk was full, say
  EXPECT_FALSE(evicts("a"));
  EXPECT_FALSE(evicts("b"));
  renew("a");
  EXPECT_FALSE(writes_anything("b")) << "its silence counts from now on";
  for (int i = 0; i < 2; ++i) {
    after(2);
    renew("a");
    EXPECT_FALSE(writes_anything("b"));
  }
  after(1);
  renew("a");
  EXPECT_TRUE(writes_anything("b")) << "it has not followed";
  say("b", "Unknown", true);
  EXPECT_TRUE(evicts("b"));
}

TEST_F(SilenceTest, AListenerThatStoodStillForLessThanTheGraceGivesThemTimeToo) {
  after(1);
  renew("a");
  after(4);  // nobody got through
  renew("a");
  EXPECT_FALSE(writes_anything("b")) << "its renewal is on its way";
  renew("b");
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(writes_anything("b"));
    after(1);
    renew("a");
  }
  EXPECT_TRUE(writes_anything("b"));
}

TEST_F(SilenceTest, ANodeThatWasMarkedInASilenceOfAllIsWaitedForUntilItHasSaidHowItIs) {
  after(30);
  say("a", "Unknown", true);
  say("b", "Unknown", true);
  renew("a");
  EXPECT_FALSE(evicts("a"));
  EXPECT_FALSE(evicts("b"));
  renew("b");
  EXPECT_FALSE(evicts("b")) << "its lease came before its status";
  say("b", "True", true);
  EXPECT_FALSE(evicts("b"));
  say("a", "False", true);
  EXPECT_TRUE(evicts("a")) << "it is not ready, and says so";
}

}  // namespace
}  // namespace pelton::control
