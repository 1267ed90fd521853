// SPDX-License-Identifier: Apache-2.0
// pods/exec, attach and portforward up to the kubelet, whose part a fake has.
#include "apiserver/test_server.h"

namespace pelton::apiserver {
namespace {

using base::Json;

constexpr const char* kPods = "/api/v1/namespaces/default/pods";

class FakeKubelet final : public KubeletClient {
 public:
  std::unique_ptr<net::Exchange> send(const std::string& node, const world::Address& address,
                                      net::Request request, net::ResponseEvents e) override {
    asked = request.method + " " + node + " " + address.to_string() + " " + request.target;
    headers = request.headers;
    events = std::move(e);
    struct Nothing final : net::Exchange {};
    return std::make_unique<Nothing>();
  }
  void refuse(int status, const std::string& why) {
    net::ResponseHead head;
    head.status = status;
    events.on_head(head);
    events.on_data(why);
    events.on_end(base::ok());
  }
  std::string asked;
  net::Headers headers;
  net::ResponseEvents events;
};

class PodRemote : public ::testing::Test {
 protected:
  PodRemote() {
    ApiServerOptions options;
    options.kubelets = &kubelet_;
    server_ = std::make_unique<TestServer>(1, options);
    server_->create("/api/v1/nodes",
                    R"({"kind":"Node","apiVersion":"v1","metadata":{"name":"n1"}})");
    server_->patch("/api/v1/nodes/n1/status",
                   R"({"status":{"addresses":[{"type":"InternalIP","address":"127.0.0.1"}],)"
                   R"("daemonEndpoints":{"kubeletEndpoint":{"Port":10250}}}})");
    create_pod("a", R"("nodeName":"n1","containers":[{"name":"c","image":"i"}])");
  }
  void create_pod(const std::string& name, const std::string& spec) {
    server_->create(kPods, R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":")" + name +
                               R"("},"spec":{)" + spec + "}}");
  }
  RecordingSinkPtr ask(const std::string& pod_and_query) {
    return server_->send("GET", std::string(kPods) + "/" + pod_and_query);
  }
  std::string message(const RecordingSinkPtr& sink) {
    return std::to_string(sink->answer.status) + " " + sink->json()["message"].as_string();
  }
  FakeKubelet kubelet_;
  std::unique_ptr<TestServer> server_;
};

TEST_F(PodRemote, TheKubeletIsAskedInItsOwnWordsForTheOnlyContainer) {
  ask("a/exec?command=sh&command=-c&command=a%26b&stdin=true&stdout=true&tty=true&stderr=false");
  EXPECT_EQ(kubelet_.asked,
            "GET n1 127.0.0.1:10250 /exec/default/a/c?command=sh&command=-c&command=a%26b&input=1"
            "&output=1&tty=1");
  server_->send("POST", std::string(kPods) + "/a/attach?container=c&stdout=1");
  EXPECT_EQ(kubelet_.asked, "POST n1 127.0.0.1:10250 /attach/default/a/c?output=1");
  ask("a/exec?command=x&stdin=maybe&stdout=FALSE");
  EXPECT_EQ(kubelet_.asked, "GET n1 127.0.0.1:10250 /exec/default/a/c?command=x&input=1");
  ask("a/portforward?ports=80");
  EXPECT_EQ(kubelet_.asked, "GET n1 127.0.0.1:10250 /portForward/default/a");
}

TEST_F(PodRemote, WhatIsWrongIsSaidBeforeTheKubeletIsAsked) {
  create_pod("two",
             R"("nodeName":"n1","containers":[{"name":"c","image":"i"},{"name":"d","image":"i"}])");
  create_pod("nowhere", R"("containers":[{"name":"c","image":"i"}])");
  create_pod("done", R"("nodeName":"n1","containers":[{"name":"c","image":"i"}])");
  server_->patch(std::string(kPods) + "/done/status", R"({"status":{"phase":"Failed"}})");
  EXPECT_EQ(message(ask("b/exec?command=x")), "404 pods \"b\" not found");
  EXPECT_EQ(message(ask("a/exec?container=d&command=x")), "400 container d is not valid for pod a");
  EXPECT_EQ(message(ask("two/exec?command=x")),
            "400 a container name must be specified for pod two, choose one of: [c d]");
  EXPECT_EQ(message(ask("nowhere/exec?command=x")),
            "400 pod nowhere does not have a host assigned");
  EXPECT_EQ(message(ask("nowhere/portforward")), "400 pod nowhere does not have a host assigned");
  EXPECT_EQ(message(ask("done/exec?command=x")),
            "400 cannot exec into a container in a completed pod; current phase is Failed");
  EXPECT_NE(message(ask("a/exec")).find("400 you must specify at least 1 command"),
            std::string::npos);
  EXPECT_EQ(kubelet_.asked, "");
}

TEST_F(PodRemote, TheKubeletsRefusalIsAStatusOfTheSameSort) {
  auto sink = ask("a/exec?command=x&stdout=1");
  kubelet_.refuse(404, "container not found (\"c\")\n");
  EXPECT_EQ(message(sink), "404 container not found (\"c\")");
  EXPECT_EQ(sink->json()["kind"].as_string(), "Status");
  sink = ask("a/exec?command=x&stdout=1");
  kubelet_.refuse(400, "SPDY is not spoken here");
  EXPECT_EQ(message(sink), "400 SPDY is not spoken here");
  sink = ask("a/exec?command=x&stdout=1");
  kubelet_.events.on_end(base::unavailable("connection refused"));
  EXPECT_EQ(sink->answer.status, 503);
}

TEST_F(PodRemote, AClientWhoMayNotIsRefusedWithoutAWordToTheKubelet) {
  for (const char* what : {"exec?command=x&stdout=1", "attach?stdout=1", "portforward"}) {
    const std::string path = std::string(kPods) + "/a/" + what;
    EXPECT_EQ(server_->send("GET", path, "", net::Identity{})->answer.status, 401) << what;
    EXPECT_EQ(server_->send("GET", path, "", node_identity("n1"))->answer.status, 403) << what;
  }
  EXPECT_EQ(kubelet_.asked, "");
}

}  // namespace
}  // namespace pelton::apiserver
