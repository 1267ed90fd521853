// SPDX-License-Identifier: Apache-2.0
#include "control/scheduler_reconciler.h"

#include <gtest/gtest.h>

#include <set>

#include "api/object.h"
#include "control/testing/fake_cluster.h"
#include "decide/placement/observed.h"

namespace pelton::control {
namespace {

using base::Duration;
using base::Json;
using Fault = client::FakeServer::Fault;

constexpr int kWorkers = 4;

class SchedulerTest : public ::testing::Test {
 protected:
  void put_node(const std::string& name, int tpus = 1) {
    Json node = FakeCluster::object("v1", "Node", name);
    node.make("status.allocatable") =
        Json::object({{"cpu", "4"}, {"google.com/tpu", std::to_string(tpus)}});
    c.server.put("/api/v1/nodes/" + name, std::move(node));
  }
  static void request_tpu(Json& pod) {
    pod.make("spec.containers") = Json::array({Json::object(
        {{"name", "c"},
         {"resources", Json::object({{"limits", Json::object({{"google.com/tpu", "1"}})}})}})});
  }
  void put_pod(const std::string& name) {
    Json pod = FakeCluster::object("v1", "Pod", name);
    request_tpu(pod);
    c.server.put(FakeCluster::pod_path(name), std::move(pod));
  }
  /// A JobSet of one Job, with `pods` of its kWorkers pods.
  void put_gang(int pods) {
    namespace placement = decide::placement;
    Json jobset = FakeCluster::object("jobset.x-k8s.io/v1alpha2", "JobSet", "train");
    jobset.make("metadata.uid") = "js";
    jobset.make("spec.replicatedJobs") = Json::array({Json::object({{"name", "w"}})});
    c.server.put("/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets/train", jobset);
    const Json labels = Json::object({{placement::kJobSetUidLabel, "js"},
                                      {placement::kJobSetNameLabel, "train"},
                                      {placement::kReplicatedJobLabel, "w"},
                                      {placement::kRestartAttemptLabel, "0"}});
    Json job = FakeCluster::object("batch/v1", "Job", "train-w-0");
    job.child("metadata").set("labels", labels);
    job.make("spec.parallelism") = kWorkers;
    c.server.put(FakeCluster::job_path("train-w-0"), std::move(job));
    for (int i = 0; i < pods; ++i) put_member(i, labels);
  }
  void put_member(int i, const Json& labels) {
    Json pod = FakeCluster::object("v1", "Pod", "train-w-0-" + std::to_string(i));
    pod.child("metadata").set("labels", labels);
    pod.child("metadata")
        .set("ownerReferences", Json::array({api::make_controller_reference(
                                    *c.server.find(FakeCluster::job_path("train-w-0")))}));
    pod.child("metadata").set("creationTimestamp", base::format_time(c.loop.now()));
    request_tpu(pod);
    c.server.put(FakeCluster::pod_path("train-w-0-" + std::to_string(i)), std::move(pod));
  }
  std::string node_of(const std::string& pod) const {
    return (*c.server.find(FakeCluster::pod_path(pod)))["spec"]["nodeName"].as_string();
  }
  int bound_members() const {
    int n = 0;
    for (int i = 0; i < kWorkers; ++i) {
      if (!node_of("train-w-0-" + std::to_string(i)).empty()) ++n;
    }
    return n;
  }

  FakeCluster c{[] {
    std::vector<std::unique_ptr<Reconciler>> out;
    out.push_back(std::make_unique<SchedulerReconciler>());
    return out;
  }};
};

TEST_F(SchedulerTest, BindsAGangInOneWrite) {
  for (int i = 0; i < kWorkers; ++i) put_node("node-" + std::to_string(i));
  put_gang(kWorkers);
  c.server.on_write = [&](const net::Request&) {
    EXPECT_TRUE(bound_members() == 0 || bound_members() == kWorkers);
    return Fault::None;
  };
  c.start();
  c.loop.advance(Duration::seconds(1));
  EXPECT_EQ(bound_members(), kWorkers);
  EXPECT_EQ(c.count_writes("POST /apis/pelton.dev/v1alpha1/namespaces/default/gangbindings"), 1);
  EXPECT_EQ(c.count("/api/v1/namespaces/default/events/train-w-0-"), kWorkers);
  EXPECT_TRUE(c.controllers->driver.is_idle());
}

TEST_F(SchedulerTest, SaysOnceWhyAPodWaitsAndBindsItWhenItCan) {
  put_node("node-0");
  put_pod("a");
  put_pod("b");
  c.start();
  c.loop.advance(Duration::minutes(5));
  EXPECT_EQ(node_of("a"), "node-0");
  const Json& pod = *c.server.find(FakeCluster::pod_path("b"));
  const Json* condition = api::find_condition(pod, "PodScheduled");
  ASSERT_NE(condition, nullptr);
  EXPECT_EQ((*condition)["status"].as_string(), "False");
  EXPECT_EQ((*condition)["reason"].as_string(), "Unschedulable");
  EXPECT_EQ((*condition)["message"].as_string(),
            "0/1 nodes are available: 1 Insufficient google.com/tpu (needs 1, at most 0 free on "
            "node-0)");
  const std::string prefix = "/api/v1/namespaces/default/events/b.";
  ASSERT_EQ(c.count(prefix), 1);
  const Json& event = c.server.objects().lower_bound(prefix)->second;
  EXPECT_EQ(event["reason"].as_string(), "FailedScheduling");
  EXPECT_EQ(event["count"].as_int(), 1);
  EXPECT_EQ(event["message"], (*condition)["message"]);
  put_node("node-1");
  c.loop.advance(Duration::seconds(1));
  EXPECT_EQ(node_of("b"), "node-1");
}

TEST_F(SchedulerTest, SaysNothingOfAGangThatIsGatheringAndRepeatsChangingNumbersSeldom) {
  put_node("node-0");
  put_gang(1);
  const Json labels = (*c.server.find(FakeCluster::pod_path("train-w-0-0")))["metadata"]["labels"];
  c.start();
  for (int i = 1; i < kWorkers - 1; ++i) {
    c.loop.advance(Duration::milliseconds(500));
    put_member(i, labels);
  }
  c.loop.advance(Duration::milliseconds(500));
  EXPECT_EQ(c.server.log.size(), 0u);
  c.loop.advance(Duration::seconds(5));
  EXPECT_EQ(c.count_writes("PATCH"), 3) << "each of the three that wait, once";
  for (int i = 0; i < 40; ++i) {
    put_node("other-" + std::to_string(i), 0);
    c.loop.advance(Duration::milliseconds(100));
  }
  put_member(kWorkers - 1, labels);
  c.loop.advance(Duration::seconds(15));
  EXPECT_LE(c.count_writes("PATCH"), 3 + 4 + 4);
}

TEST_F(SchedulerTest, DoesNotPromiseRoomTwiceWhileTheCacheIsBehind) {
  put_node("node-0");
  put_pod("a");
  c.start();
  c.loop.run_until([&] {
    return c.controllers->cache.is_synced("JobSet") && c.controllers->cache.is_synced("Pod");
  });
  c.server.are_watches_silent = true;
  c.loop.advance(Duration::seconds(1));
  EXPECT_EQ(node_of("a"), "node-0");
  put_pod("b");
  c.controllers->cache.put(*c.server.find(FakeCluster::pod_path("b")));
  c.loop.advance(Duration::seconds(5));
  EXPECT_EQ(node_of("b"), "");
  c.server.are_watches_silent = false;
  c.server.flush();
  c.loop.advance(Duration::seconds(5));
  EXPECT_EQ(node_of("b"), "");
}

TEST_F(SchedulerTest, WithoutGangBindingsThePlanIsRecordedFirst) {
  for (int i = 0; i < kWorkers; ++i) put_node("node-" + std::to_string(i));
  put_gang(kWorkers);
  c.server.has_gang_bindings = false;
  c.start();
  c.loop.advance(Duration::seconds(5));
  EXPECT_EQ(bound_members(), kWorkers);
  for (int i = 0; i < kWorkers; ++i) {
    const Json& pod = *c.server.find(FakeCluster::pod_path("train-w-0-" + std::to_string(i)));
    EXPECT_EQ(api::annotation_of(pod, decide::placement::kPlannedNodeAnnotation),
              pod["spec"]["nodeName"].as_string());
  }
}

/// The scheduler dies at one write of a gang's binding on a Kubernetes without gang bindings; more
/// urgent pods want the same accelerators when it comes back.
class RolledForwardGang : public SchedulerTest,
                          public ::testing::WithParamInterface<std::tuple<int, Fault>> {};

TEST_P(RolledForwardGang, EndsWholeWhereverTheSchedulerDies) {
  const auto [crash_at, fault] = GetParam();
  for (int i = 0; i < kWorkers; ++i) put_node("node-" + std::to_string(i));
  put_gang(kWorkers);
  c.server.has_gang_bindings = false;
  int writes = 0;
  c.server.on_write = [&, at = crash_at, how = fault](const net::Request&) {
    return ++writes == at ? how : Fault::None;
  };
  c.start();
  ASSERT_TRUE(c.loop.run_until([&] { return writes == crash_at; }));
  c.crash();
  c.loop.advance(Duration::seconds(1));
  const bool had_begun = bound_members() > 0;
  for (int i = 0; i < kWorkers; ++i) {
    Json rival = FakeCluster::object("v1", "Pod", "rival-" + std::to_string(i));
    request_tpu(rival);
    rival.make("spec.priority") = 1000;
    c.server.put(FakeCluster::pod_path("rival-" + std::to_string(i)), std::move(rival));
  }
  c.start();
  c.loop.advance(Duration::seconds(10));
  std::set<std::string> nodes;
  int bound = 0;
  for (const auto& [path, object] : c.server.objects()) {
    const std::string& node = object["spec"]["nodeName"].as_string();
    if (node.empty()) continue;
    ++bound;
    EXPECT_TRUE(nodes.insert(node).second) << node << " was given away twice";
  }
  EXPECT_EQ(bound, kWorkers);
  EXPECT_EQ(bound_members(), had_begun ? kWorkers : 0) << "the gang is in pieces";
}

INSTANTIATE_TEST_SUITE_P(EveryWrite, RolledForwardGang,
                         ::testing::Combine(::testing::Range(1, 2 + 2 * kWorkers),
                                            ::testing::Values(Fault::LoseRequest,
                                                              Fault::LoseAnswer)));

}  // namespace
}  // namespace pelton::control
