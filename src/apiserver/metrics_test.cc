// SPDX-License-Identifier: Apache-2.0
#include "apiserver/metrics.h"

#include "api/object.h"
#include "apiserver/test_server.h"

namespace pelton::apiserver {
namespace {

using base::Json;

/// Agents that answer what the test says, later.
class FakeKubelets final : public KubeletClient {
 public:
  std::unique_ptr<net::Exchange> send(const std::string& node, const world::Address&,
                                      net::Request request, net::ResponseEvents events) override {
    asked.push_back(node + " " + request.target);
    waiting[node] = std::move(events);
    struct Nothing final : net::Exchange {};
    return std::make_unique<Nothing>();
  }
  void answer(const std::string& node, int status, const std::string& body) {
    const net::ResponseEvents events = std::move(waiting.at(node));
    net::ResponseHead head;
    head.status = status;
    events.on_head(head);
    events.on_data(body);
    events.on_end(base::ok());
  }
  std::vector<std::string> asked;
  std::map<std::string, net::ResponseEvents> waiting;
};

constexpr const char* kApi = "/apis/metrics.k8s.io/v1beta1";
constexpr const char* kCpu =
    R"("cpu":{"time":"2026-01-01T00:00:00Z","usageNanoCores":250000000,"windowNanoSeconds":9500000000})";

class MetricsTest : public ::testing::Test {
 protected:
  MetricsTest() {
    ApiServerOptions options;
    options.kubelets = &kubelets_;
    server_ = std::make_unique<TestServer>(1, options);
    for (const std::string name : {"n1", "n2"}) {
      server_->create("/api/v1/nodes", R"({"kind":"Node","apiVersion":"v1","metadata":{"name":")" +
                                           name + R"(","labels":{"node":")" + name + R"("}}})");
      server_->patch("/api/v1/nodes/" + name + "/status",
                     R"({"status":{"addresses":[{"type":"InternalIP","address":"127.0.0.1"}],)"
                     R"("daemonEndpoints":{"kubeletEndpoint":{"Port":10250}}}})");
    }
    for (const std::string name : {"a", "b"}) {
      const Json made = server_->create(
          "/api/v1/namespaces/default/pods",
          R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":")" + name +
              R"(","labels":{"app":")" + name + R"("}},"spec":{"nodeName":")" +
              (name == "a" ? "n1" : "n2") + R"(","containers":[{"name":"c","image":"i"}]}})");
      uids_[name] = api::uid_of(made);
    }
  }
  /// A summary that knows one pod.
  std::string summary(const std::string& pod_uid) const {
    const std::string usage = std::string(kCpu) + R"(,"memory":{"workingSetBytes":3145728})";
    return R"({"node":{)" + usage + R"(},"pods":[{"podRef":{"uid":")" + pod_uid + R"("},)" + usage +
           R"(,"containers":[{"name":"c",)" + usage + R"(},{"name":"new","memory":{}}]}]})";
  }

  FakeKubelets kubelets_;
  std::unique_ptr<TestServer> server_;
  std::map<std::string, std::string> uids_;
};

TEST_F(MetricsTest, AsksEveryNodeAndListsThoseThatAnswer) {
  const auto sink = server_->send("GET", std::string(kApi) + "/nodes");
  EXPECT_EQ(kubelets_.asked, (std::vector<std::string>{"n1 /stats/summary", "n2 /stats/summary"}));
  kubelets_.answer("n1", 200, summary("x"));
  EXPECT_FALSE(sink->has_ended) << "the other may still answer";
  kubelets_.answer("n2", 503, "{}");
  ASSERT_TRUE(sink->has_ended);
  const Json list = sink->json();
  EXPECT_EQ(list["kind"].as_string(), "NodeMetricsList");
  ASSERT_EQ(list["items"].size(), 1u);
  const Json& one = list["items"][0];
  EXPECT_EQ(one["metadata"]["name"].as_string(), "n1");
  EXPECT_EQ(one["metadata"]["labels"]["node"].as_string(), "n1");
  EXPECT_EQ(one["usage"]["cpu"].as_string(), "250m");
  EXPECT_EQ(one["usage"]["memory"].as_string(), "3Mi");
  EXPECT_EQ(one["window"].as_string(), "9.500s");
}

TEST_F(MetricsTest, AsksOnlyTheNodesOfThePodsThatAreMeant) {
  const auto sink =
      server_->send("GET", std::string(kApi) + "/namespaces/default/pods?labelSelector=app%3Db");
  EXPECT_EQ(kubelets_.asked, std::vector<std::string>{"n2 /stats/summary"});
  kubelets_.answer("n2", 200, summary(uids_["b"]));
  const Json list = sink->json();
  ASSERT_EQ(list["items"].size(), 1u) << sink->body;
  EXPECT_EQ(list["items"][0]["metadata"]["namespace"].as_string(), "default");
  ASSERT_EQ(list["items"][0]["containers"].size(), 1u) << "one is too new to have a rate";
  EXPECT_EQ(list["items"][0]["containers"][0]["usage"]["cpu"].as_string(), "250m");
}

TEST_F(MetricsTest, APodOfTheSameNameThatWentBeforeIsNotMeant) {
  const auto sink = server_->send("GET", std::string(kApi) + "/namespaces/default/pods/a");
  kubelets_.answer("n1", 200, summary("uid-of-an-earlier-one"));
  EXPECT_EQ(sink->answer.status, 404);
  EXPECT_EQ(sink->json()["message"].as_string(),
            "podmetrics.metrics.k8s.io \"default/a\" not found");
  const auto nobody = server_->send("GET", std::string(kApi) + "/nodes/none");
  EXPECT_EQ(nobody->answer.status, 404);
  EXPECT_EQ(nobody->json()["message"].as_string(), "nodemetrics.metrics.k8s.io \"none\" not found");
}

TEST_F(MetricsTest, ANodeThatHangsIsNotWaitedForLongAndGarbageIsNoMetrics) {
  const auto sink = server_->send("GET", std::string(kApi) + "/nodes");
  kubelets_.answer("n1", 200, "no json");
  server_->run(base::Duration::seconds(11));
  ASSERT_TRUE(sink->has_ended);
  EXPECT_EQ(sink->answer.status, 200);
  EXPECT_TRUE(sink->json()["items"].is_array());
  EXPECT_EQ(sink->json()["items"].size(), 0u);
}

TEST_F(MetricsTest, IsDiscoveredInBothFormsAndOnlyRead) {
  const auto names_of = [&](const char* accept) {
    net::Headers headers;
    headers.add("Accept", accept);
    return server_->call("GET", "/apis", {}, kAdmin, std::move(headers))->body;
  };
  EXPECT_NE(names_of("application/json").find("\"metrics.k8s.io/v1beta1\""), std::string::npos);
  EXPECT_NE(names_of("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
                .find("\"kind\":\"NodeMetrics\""),
            std::string::npos);
  const Json resources = server_->call("GET", kApi)->json();
  EXPECT_EQ(resources["resources"][1]["kind"].as_string(), "PodMetrics");
  EXPECT_EQ(server_->call("DELETE", std::string(kApi) + "/nodes/n1")->answer.status, 405);
  EXPECT_EQ(server_->call("GET", std::string(kApi) + "/services")->answer.status, 404);
  EXPECT_EQ(
      server_->call("GET", std::string(kApi) + "/nodes", {}, node_identity("n1"))->answer.status,
      403);
}

TEST_F(MetricsTest, EndsWithTheClientAndWithTheServer) {
  const auto left = server_->send("GET", std::string(kApi) + "/nodes");
  left->leave();
  const auto kept = server_->send("GET", std::string(kApi) + "/nodes");
  server_->restart();
  EXPECT_TRUE(kept->has_ended);
  EXPECT_EQ(kept->answer.status, 503);
}

TEST(Metrics, AServerWithoutAgentsHasNoMetrics) {
  TestServer server;
  EXPECT_EQ(server.call("GET", std::string(kApi) + "/nodes")->answer.status, 404);
  EXPECT_EQ(server.call("GET", "/apis")->body.find("metrics.k8s.io"), std::string::npos);
}

}  // namespace
}  // namespace pelton::apiserver
