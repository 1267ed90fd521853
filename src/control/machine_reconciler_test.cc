// SPDX-License-Identifier: Apache-2.0
#include "control/machine_reconciler.h"

#include <gtest/gtest.h>

#include <map>

#include "api/object.h"
#include "control/scheduler_reconciler.h"
#include "control/testing/fake_cluster.h"

namespace pelton::control {
namespace {

using base::Duration;
using base::Json;

Json node_document(const std::string& name) {
  Json node = FakeCluster::object("v1", "Node", name);
  node.make("status.allocatable") = Json::object({{"cpu", "4"}, {"google.com/tpu", "1"}});
  api::set_condition(node, {"Ready", "True", "KubeletReady", ""}, base::Instant());
  return node;
}

/// Remembers what it was asked for; says what it is told to.
class FakeProvider final : public provider::Provider {
 public:
  explicit FakeProvider(client::FakeLoop& loop) : loop_(loop) {}
  std::vector<Json> offers() const override { return {node_document("node-9")}; }
  void create(const std::string& node_name, std::function<void(base::Status)> done) override {
    ++asked[node_name];
    loop_.after(Duration::milliseconds(1), [done, status = answer] { done(status); });
  }
  std::map<std::string, int> asked;
  base::Status answer = base::ok();

 private:
  client::FakeLoop& loop_;
};

class MachineTest : public ::testing::Test {
 protected:
  MachineTest() {
    Json pod = FakeCluster::object("v1", "Pod", "a");
    pod.make("spec.containers") = Json::array({Json::object(
        {{"name", "c"},
         {"resources", Json::object({{"limits", Json::object({{"google.com/tpu", "1"}})}})}})});
    c.server.put(FakeCluster::pod_path("a"), std::move(pod));
    c.server.put("/api/v1/nodes/node-0", FakeCluster::object("v1", "Node", "node-0"));
  }
  void put_machine() { c.server.put("/api/v1/nodes/node-9", node_document("node-9")); }
  const Json& pod() const { return *c.server.find(FakeCluster::pod_path("a")); }
  std::string nominated() const { return pod()["status"]["nominatedNodeName"].as_string(); }
  std::string node() const { return pod()["spec"]["nodeName"].as_string(); }
  int asked() { return provider.asked["node-9"]; }

  FakeCluster c{[] {
                  std::vector<std::unique_ptr<Reconciler>> out;
                  out.push_back(std::make_unique<SchedulerReconciler>());
                  out.push_back(std::make_unique<MachineReconciler>(
                      std::vector<Json>{node_document("node-9")}));
                  return out;
                },
                DriverOptions{.provider = &provider}};
  FakeProvider provider{c.loop};
};

TEST_F(MachineTest, AnUnschedulablePodGetsTheMachineThatWasAskedFor) {
  c.start();
  c.loop.advance(Duration::seconds(1));
  EXPECT_EQ(nominated(), "node-9");
  EXPECT_GE(asked(), 1);
  const std::string events = "/api/v1/namespaces/default/events/a.";
  bool is_told = false;
  for (const auto& [path, event] : c.server.objects()) {
    if (!path.starts_with(events) || event["reason"].as_string() != "TriggeredScaleUp") continue;
    is_told = event["message"].as_string() == "pod triggered scale-up: node-9";
  }
  EXPECT_TRUE(is_told);
  put_machine();
  c.loop.advance(Duration::seconds(1));
  EXPECT_EQ(node(), "node-9");
  const int before = asked();
  c.loop.advance(Duration::minutes(1));
  EXPECT_EQ(asked(), before) << "it is there";
}

TEST_F(MachineTest, NothingIsAskedForBeforeThePodSaysSo) {
  c.server.on_write = [&](const net::Request& request) {
    const bool is_nomination = request.body.find("nominatedNodeName") != std::string::npos;
    return is_nomination ? client::FakeServer::Fault::Refuse : client::FakeServer::Fault::None;
  };
  c.start();
  c.loop.advance(Duration::minutes(1));
  EXPECT_EQ(nominated(), "");
  EXPECT_EQ(asked(), 0);
}

TEST_F(MachineTest, ASuccessorAsksAgainAndSoDoesWhoWasRefused) {
  provider.answer = base::unavailable("no stock");
  c.start();
  c.loop.advance(Duration::minutes(2));
  const int refused = asked();
  EXPECT_GE(refused, 2);
  c.crash();
  provider.answer = base::ok();
  c.start();
  c.loop.advance(Duration::seconds(1));
  EXPECT_EQ(asked(), refused + 1);
  c.loop.advance(Duration::minutes(1));
  EXPECT_GE(asked(), refused + 2) << "it has not come";
  EXPECT_EQ(c.count_writes("PATCH /api/v1/namespaces/default/pods/a/status"), 2)
      << "the scheduler's word and the nomination, once each";
}

}  // namespace
}  // namespace pelton::control
