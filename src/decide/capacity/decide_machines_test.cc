// SPDX-License-Identifier: Apache-2.0
#include "decide/capacity/decide_machines.h"

#include "api/object.h"
#include "decide/placement/test_objects.h"

namespace pelton::decide::capacity {
namespace {

using base::Instant;
using base::Json;
using ::testing::Test;

constexpr const char* kTpu = R"({"google.com/tpu":"1"})";
constexpr const char* kHost = R"({"cpu":"4","google.com/tpu":"1"})";

/// A cluster, and machines that could be had.
class Machines : public Test {
 protected:
  Json& waiting_pod(const std::string& name, const std::string& requests = kTpu) {
    return say_unschedulable(cluster.pod(name, requests));
  }
  static Json& say_unschedulable(Json& pod) {
    api::set_condition(pod, {"PodScheduled", "False", "Unschedulable", "no room"}, Instant());
    return pod;
  }
  static void nominate(Json& pod, const std::string& node) {
    pod.make("status.nominatedNodeName") = node;
  }
  void mark_ready(const std::string& node, const std::string& status) {
    api::set_condition(cluster.find_node(node), {"Ready", status, "Test", ""}, Instant());
  }
  Decision decide() { return decide_machines({cluster.world(), offers.world().nodes}); }
  std::string nominations() {
    std::string text;
    for (const Nomination& each : decide().nominations) {
      text += each.pod_name + "@" + each.node_name + " ";
    }
    return text;
  }
  std::set<std::string> asked() { return decide().machines; }

  placement::Cluster cluster, offers;
};

TEST_F(Machines, NobodyWaits) {
  offers.node("node-9", kHost);
  cluster.pod("young", kTpu);  // the scheduler has not spoken
  EXPECT_EQ(nominations(), "");
  EXPECT_TRUE(asked().empty());
}

TEST_F(Machines, APodIsNominatedForAMachineThatWouldHoldIt) {
  cluster.node("node-0", R"({"cpu":"4"})");
  offers.node("node-8", R"({"cpu":"4"})");
  offers.node("node-9", kHost);
  waiting_pod("a");
  EXPECT_EQ(nominations(), "a@node-9 ");
  EXPECT_EQ(asked(), std::set<std::string>{"node-9"});
}

TEST_F(Machines, NobodyIsNominatedWhereNoMachineWouldHelp) {
  offers.node("node-9", kHost);
  waiting_pod("large", R"({"google.com/tpu":"2"})");
  EXPECT_EQ(nominations(), "");
}

TEST_F(Machines, WhoFitsOnANodeThatIsThereNeedsNoMachine) {
  cluster.node("node-3", kHost);  // just freed
  offers.node("node-10", kHost);
  waiting_pod("a");
  EXPECT_EQ(nominations(), "");
  waiting_pod("b");
  EXPECT_EQ(decide().nominations.size(), 1U);
}

TEST_F(Machines, EachPodGetsAMachineOfItsOwnAsFarAsThereAreAny) {
  offers.node("node-8", kHost);
  offers.node("node-9", kHost);
  for (const char* name : {"a", "b", "c"}) waiting_pod(name);
  EXPECT_EQ(decide().nominations.size(), 2U);
  EXPECT_EQ(asked(), (std::set<std::string>{"node-8", "node-9"}));
}

TEST_F(Machines, AGangIsHelpedWholeOrNotAtAll) {
  cluster.jobset("g", R"([{"name":"w","replicas":1}])");
  const Json& job = cluster.job("g", "w", 0, 2);
  for (int i = 0; i < 2; ++i) say_unschedulable(cluster.member(job, i, kTpu));
  offers.node("node-8", kHost);
  EXPECT_EQ(nominations(), "");
  offers.node("node-9", kHost);
  EXPECT_EQ(decide().nominations.size(), 2U);
}

TEST_F(Machines, WhoIsNominatedWaitsAndTheMachineIsAskedForUntilItIsReady) {
  offers.node("node-9", kHost);
  nominate(waiting_pod("a"), "node-9");
  EXPECT_EQ(nominations(), "");
  EXPECT_EQ(asked(), std::set<std::string>{"node-9"});
  cluster.node("node-9", "{}");  // it has registered, and not said yet what it has
  offers.node("node-10", kHost);
  EXPECT_EQ(nominations(), "");
  EXPECT_EQ(asked(), std::set<std::string>{"node-9"});
  cluster.find_node("node-9").make("status.allocatable") = placement::parse(kHost);
  mark_ready("node-9", "False");
  EXPECT_EQ(asked(), std::set<std::string>{"node-9"});
  mark_ready("node-9", "True");
  EXPECT_EQ(nominations(), "");  // the scheduler will bind it there
  EXPECT_TRUE(asked().empty());
}

TEST_F(Machines, AMachineThatIsFullWhenItComesIsNominatedNoLonger) {
  cluster.node("node-9", kHost);
  mark_ready("node-9", "True");
  offers.node("node-9", kHost);
  cluster.pod("quicker", kTpu, "node-9");
  nominate(waiting_pod("a"), "node-9");
  EXPECT_EQ(nominations(), "a@ ");
  offers.node("node-10", kHost);
  EXPECT_EQ(nominations(), "a@node-10 ");
}

TEST_F(Machines, AMachineThatWasLostCanBeHadAgainButNotBehindAQuarantine) {
  Json& lost = cluster.node("node-9", kHost);
  mark_ready("node-9", "Unknown");
  lost.make("spec.taints") =
      placement::parse(R"([{"key":"node.kubernetes.io/unreachable","effect":"NoSchedule"}])");
  offers.node("node-9", kHost);
  waiting_pod("a");
  EXPECT_EQ(nominations(), "a@node-9 ");
  lost.child("spec").child("taints").push_back(
      placement::parse(R"({"key":"pelton.dev/quarantine","effect":"NoSchedule"})"));
  EXPECT_EQ(nominations(), "");
}

TEST_F(Machines, AnothersNominationIsLeftAlone) {
  offers.node("node-9", kHost);
  nominate(waiting_pod("a"), "of-a-preemption");
  EXPECT_EQ(nominations(), "");
  EXPECT_TRUE(asked().empty());
}

TEST_F(Machines, APodWhoseSelectorNoMachineMeetsIsNotNominated) {
  offers.node("node-9", kHost);
  Json& pod = waiting_pod("a");
  pod.make("spec.nodeSelector") = placement::parse(R"({"pool":"x"})");
  EXPECT_EQ(nominations(), "");
  offers.find_node("node-9").child("metadata").child("labels").set("pool", "x");
  EXPECT_EQ(nominations(), "a@node-9 ");
}

}  // namespace
}  // namespace pelton::decide::capacity
