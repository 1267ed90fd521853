// SPDX-License-Identifier: Apache-2.0
// Bindings that come late: the node has gone, or another pod has its room.
#include <gtest/gtest.h>

#include "apiserver/node_room.h"
#include "apiserver/test_server.h"

namespace pelton::apiserver {
namespace {

using base::Json;

constexpr const char* kGangs = "/apis/pelton.dev/v1alpha1/namespaces/default/gangbindings";

std::string reason_of(const RecordingSinkPtr& sink) {
  return std::to_string(sink->answer.status) + " " + sink->json()["reason"].as_string();
}

std::string tpu_pod(const std::string& name, int tpus) {
  return R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":")" + name +
         R"("},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"google.com/tpu":")" +
         std::to_string(tpus) + R"("}}}]}})";
}

std::string tpu_node(const std::string& name, int tpus) {
  return R"({"kind":"Node","apiVersion":"v1","metadata":{"name":")" + name +
         R"("},"status":{"allocatable":{"cpu":"8","google.com/tpu":")" + std::to_string(tpus) +
         R"("}}})";
}

std::string to_node(const std::string& node) {
  return R"({"target":{"kind":"Node","name":")" + node + R"("}})";
}

std::string gang(const std::vector<std::pair<std::string, std::string>>& pods) {
  Json body = Json::object({{"kind", "GangBinding"}, {"apiVersion", "pelton.dev/v1alpha1"}});
  body.make("metadata").set("name", "g");
  Json& bindings = body.make("spec.bindings");
  for (const auto& [pod, node] : pods) {
    bindings.push_back(Json::object({{"podName", pod}, {"nodeName", node}}));
  }
  return body.dump();
}

class LateBinding : public ::testing::Test {
 protected:
  LateBinding() {
    s.create("/api/v1/nodes", tpu_node("n1", 4));
    s.create("/api/v1/nodes", tpu_node("n2", 4));
  }
  auto bind(const std::string& pod, const std::string& node) {
    return s.send("POST", std::string(kPods) + "/" + pod + "/binding", to_node(node));
  }
  auto bind_gang(const std::vector<std::pair<std::string, std::string>>& pods) {
    return s.send("POST", kGangs, gang(pods));
  }
  void settle() { s.run(base::Duration::seconds(5)); }
  std::string node_of(const std::string& pod) {
    return s.call("GET", std::string(kPods) + "/" + pod)->json()["spec"]["nodeName"].as_string();
  }
  TestServer s;
};

TEST_F(LateBinding, FindsThatTheNodeHasGone) {
  s.create(kPods, tpu_pod("a", 1));
  s.call("DELETE", "/api/v1/nodes/n1");
  const auto late = bind("a", "n1");
  settle();
  EXPECT_EQ(reason_of(late), "409 Conflict");
  EXPECT_NE(late->body.find("the node does not exist"), std::string::npos) << late->body;
  EXPECT_EQ(node_of("a"), "");
}

TEST_F(LateBinding, FindsThatTheNodeGoesInTheSameMoment) {
  s.create(kPods, tpu_pod("a", 1));
  s.send("DELETE", "/api/v1/nodes/n1");
  const auto late = bind("a", "n1");
  settle();
  EXPECT_EQ(reason_of(late), "409 Conflict");
  EXPECT_EQ(node_of("a"), "");
}

TEST_F(LateBinding, FindsTheRoomTaken) {
  s.create(kPods, tpu_pod("new", 3));
  s.create(kPods, tpu_pod("old", 2));
  bind("new", "n1");
  settle();
  const auto late = bind("old", "n1");
  settle();
  EXPECT_EQ(reason_of(late), "409 Conflict");
  EXPECT_NE(late->body.find("Insufficient google.com/tpu: 2 wanted, 1 of 4 free"),
            std::string::npos)
      << late->body;
  EXPECT_EQ(node_of("old"), "");
}

TEST_F(LateBinding, FindsTheRoomTakenByABindingThatIsNotDurableYet) {
  for (const char* name : {"a", "b", "c"}) s.create(kPods, tpu_pod(name, 2));
  const auto first = bind("a", "n1");
  const auto second = bind("b", "n1");
  const auto third = bind("c", "n1");
  settle();
  EXPECT_EQ(first->answer.status, 201);
  EXPECT_EQ(second->answer.status, 201);
  EXPECT_EQ(reason_of(third), "409 Conflict");
  EXPECT_EQ(node_of("c"), "");
}

TEST_F(LateBinding, OfAGangIsRefusedWholeWhereItsPodsTogetherDoNotFit) {
  for (const char* name : {"a", "b", "c"}) s.create(kPods, tpu_pod(name, 3));
  const auto both_on_one = bind_gang({{"a", "n1"}, {"b", "n1"}});
  settle();
  EXPECT_EQ(reason_of(both_on_one), "409 Conflict");
  EXPECT_NE(both_on_one->body.find("pod \\\"b\\\" on node \\\"n1\\\""), std::string::npos)
      << both_on_one->body;
  // The successor's gang is ordered first; the dead scheduler's comes late.
  const auto successor = bind_gang({{"a", "n1"}, {"b", "n2"}});
  const auto late = bind_gang({{"c", "n2"}});
  settle();
  EXPECT_EQ(successor->answer.status, 201);
  EXPECT_EQ(reason_of(late), "409 Conflict");
  EXPECT_EQ(node_of("c"), "");
}

TEST_F(LateBinding, FitsAgainOnceThePodThereHasEndedOrGone) {
  for (const char* name : {"a", "b", "c"}) s.create(kPods, tpu_pod(name, 4));
  bind("a", "n1");
  settle();
  s.patch(std::string(kPods) + "/a/status", R"({"status":{"phase":"Succeeded"}})");
  bind("b", "n1");
  settle();
  EXPECT_EQ(node_of("b"), "n1");
  s.call("DELETE", std::string(kPods) + "/b",
         Json::parse(R"({"kind":"DeleteOptions","gracePeriodSeconds":0})").value());
  bind("c", "n1");
  settle();
  EXPECT_EQ(node_of("c"), "n1");
}

TEST_F(LateBinding, FindsTheRoomTakenAlsoAfterARestart) {
  s.create(kPods, tpu_pod("new", 3));
  s.create(kPods, tpu_pod("old", 2));
  bind("new", "n1");
  settle();
  s.restart();
  const auto late = bind("old", "n1");
  settle();
  EXPECT_EQ(reason_of(late), "409 Conflict");
}

TEST(NodeRoom, ARefusedWriteGivesItsRoomBack) {
  NodeRoom room;
  room.set_loaded();
  const Json pod = Json::parse(R"({"spec":{"nodeName":"n","containers":[
      {"resources":{"requests":{"cpu":"500m"}}}]}})")
                       .value();
  const uint64_t ticket = room.note_under_way("k", pod, false);
  EXPECT_EQ(room.used("n")["cpu"], 500);
  room.note_over(ticket);
  EXPECT_TRUE(room.used("n").empty());
  room.note_durable("k", pod, false);
  room.note_under_way("k", pod, false);  // an update of a bound pod takes nothing twice
  EXPECT_EQ(room.used("n")["cpu"], 500);
  room.note_durable("k", pod, true);
  EXPECT_TRUE(room.used("n").empty());
}

}  // namespace
}  // namespace pelton::apiserver
