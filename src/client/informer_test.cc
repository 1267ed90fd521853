// SPDX-License-Identifier: Apache-2.0
#include "client/informer.h"

#include <gtest/gtest.h>

#include <set>

#include "client/in_process.h"
#include "client/testing/fake_loop.h"
#include "client/testing/fake_server.h"

namespace pelton::client {
namespace {

using base::Duration;
using base::Json;

class InformerTest : public ::testing::Test {
 protected:
  InformerTest() {
    cache.subscribe([this](std::string_view, const Json* before, const Json* after) {
      if (before == nullptr && after == nullptr) return;
      const Json& object = after != nullptr ? *after : *before;
      told.push_back((before == nullptr  ? "+"
                      : after == nullptr ? "-"
                                         : "~") +
                     object["metadata"]["name"].as_string());
    });
  }
  static std::string path(const std::string& name) {
    return "/api/v1/namespaces/default/pods/" + name;
  }
  static Json pod(const std::string& name, const std::string& node = "") {
    Json pod = Json::object({{"apiVersion", "v1"}, {"kind", "Pod"}});
    pod.make("metadata.name") = name;
    pod.make("metadata.namespace") = "default";
    if (!node.empty()) pod.make("spec.nodeName") = node;
    return pod;
  }
  void put(const std::string& name, const std::string& node = "") {
    Json next = pod(name, node);
    if (const Json* old = server.find(path(name))) {
      next.child("metadata").set("uid", (*old)["metadata"]["uid"]);
    }
    server.put(path(name), std::move(next));
  }
  void start() {
    informer.start();
    loop.settle();
  }
  /// Every informer must end here, whatever happened on the way.
  void expect_equal_to_server() {
    std::set<std::string> here, there;
    for (const Json* object : cache.list("Pod")) here.insert(object->dump());
    for (const auto& [at, object] : server.objects()) there.insert(object.dump());
    EXPECT_EQ(here, there);
  }

  FakeLoop loop;
  base::NullLog log;
  FakeServer server;
  InProcessTransport transport{server.handler(), {"t", {}}, loop};
  Client client{transport, loop};
  Cache cache{{"app"}};
  Informer informer{client, cache, loop, log, base::Rng(1), "Pod"};
  std::vector<std::string> told;
};

TEST_F(InformerTest, ListsThenWatches) {
  put("a");
  start();
  EXPECT_TRUE(informer.is_synced());
  put("b");
  put("a", "node-1");
  server.erase(path("b"));
  loop.settle();
  EXPECT_EQ(told, (std::vector<std::string>{"+a", "+b", "~a", "-b"}));
  expect_equal_to_server();
  EXPECT_EQ(server.lists, 1);
}

TEST_F(InformerTest, ALostWatchIsResumedWithoutAList) {
  start();
  put("a");
  loop.settle();
  server.break_watches();
  put("b");
  server.erase(path("a"));
  loop.advance(Duration::seconds(1));
  EXPECT_EQ(told, (std::vector<std::string>{"+a", "+b", "-a"}));
  EXPECT_EQ(server.lists, 1);
  expect_equal_to_server();
}

TEST_F(InformerTest, GoneHistoryIsListedAnewAndTheDifferenceTold) {
  put("stays"), put("changes"), put("goes");
  start();
  told.clear();
  server.break_watches();
  put("changes", "node-1");
  server.erase(path("goes"));
  put("comes");
  server.oldest_revision = server.revision();
  loop.advance(Duration::seconds(1));
  EXPECT_EQ(told, (std::vector<std::string>{"-goes", "~changes", "+comes"}));
  EXPECT_EQ(server.lists, 2);
  put("later");
  loop.settle();
  expect_equal_to_server();
}

TEST_F(InformerTest, ABookmarkMovesTheResumePointAndTheRevisionSeen) {
  start();
  server.put("/api/v1/namespaces/default/configmaps/x", Json::object({{"kind", "ConfigMap"}}));
  server.bookmark();
  loop.settle();
  EXPECT_EQ(cache.last_seen("Pod"), server.revision());
  server.oldest_revision = server.revision();
  server.end_watches();
  loop.advance(Duration::seconds(1));
  EXPECT_EQ(server.lists, 1) << "the bookmark's revision is still kept";
}

TEST_F(InformerTest, RepeatedEventsAndResurrectionsAreIgnored) {
  start();
  put("a");
  const std::string old =
      Json::object({{"type", "ADDED"}, {"object", *server.find(path("a"))}}).dump();
  loop.settle();
  server.erase(path("a"));
  loop.settle();
  server.write_raw(old + "\n" + old + "\n");
  loop.settle();
  EXPECT_EQ(told, (std::vector<std::string>{"+a", "-a"}));
  expect_equal_to_server();
}

TEST_F(InformerTest, GarbageOnTheWatchLeadsToAList) {
  start();
  server.write_raw("{\"type\":\"ADDED\",\n");
  put("a");
  loop.advance(Duration::seconds(1));
  EXPECT_EQ(server.lists, 2);
  expect_equal_to_server();
}

TEST_F(InformerTest, AServerThatEndsEveryWatchIsNotAskedInATightLoop) {
  start();
  const int before = server.watches_begun;
  for (int i = 0; i < 200; ++i) {
    server.end_watches();
    loop.advance(Duration::milliseconds(100));
  }
  EXPECT_LT(server.watches_begun - before, 30);
  EXPECT_GT(server.watches_begun - before, 3);
}

TEST_F(InformerTest, MayDieAtAnyMoment) {
  for (int steps = 0; steps < 12; ++steps) {
    auto other = std::make_unique<Informer>(client, cache, loop, log, base::Rng(1), "Pod");
    other->start();
    for (int i = 0; i < steps; ++i) loop.step();
    other.reset();
    loop.advance(Duration::seconds(1));
  }
}

TEST_F(InformerTest, RandomFaultsAlwaysEndInTheServersState) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Rng rng(seed);
    FakeServer faulty;
    InProcessTransport to(faulty.handler(), {"t", {}}, loop);
    Client own(to, loop);
    Cache view;
    Informer subject(own, view, loop, log, rng.fork("informer"), "Pod");
    subject.start();
    for (int i = 0; i < 120; ++i) {
      const std::string at = path("p" + std::to_string(rng.below(6)));
      if (faulty.find(at) != nullptr && rng.chance(0.4)) {
        faulty.erase(at);
      } else {
        Json next = pod(at.substr(at.rfind('/') + 1), "n" + std::to_string(rng.below(3)));
        faulty.put(at, std::move(next));
      }
      if (rng.chance(0.1)) faulty.break_watches();
      if (rng.chance(0.1)) faulty.end_watches();
      if (rng.chance(0.1)) faulty.oldest_revision = faulty.revision() - rng.below(3);
      if (rng.chance(0.2)) faulty.are_watches_silent = !faulty.are_watches_silent;
      if (rng.chance(0.1)) faulty.bookmark();
      if (rng.chance(0.3)) loop.advance(Duration::milliseconds(rng.between(0, 400)));
    }
    faulty.are_watches_silent = false;
    faulty.flush();
    loop.advance(Duration::seconds(20));
    std::vector<std::string> here, there;
    for (const Json* object : view.list("Pod")) here.push_back(object->dump());
    for (const auto& [at, object] : faulty.objects()) there.push_back(object.dump());
    EXPECT_EQ(here, there);
    for (const std::string node : {"n0", "n1", "n2"}) {
      for (const Json* object : view.list_pods_on(node)) {
        EXPECT_EQ((*object)["spec"]["nodeName"].as_string(), node);
      }
    }
  }
}

TEST(InformerOfAnUnservedKind, IsCompleteOnlyWhereThatMayBe) {
  FakeLoop loop;
  base::NullLog log;
  InProcessTransport transport{
      [](const net::Request&, const net::ResponseSinkPtr& sink) {
        sink->respond(404, "application/json",
                      R"({"kind":"Status","status":"Failure","reason":"NotFound","code":404})");
      },
      {"t", {}},
      loop};
  Client client{transport, loop};
  for (const bool may_be : {false, true}) {
    Cache cache;
    Informer informer{client,
                      cache,
                      loop,
                      log,
                      base::Rng(1),
                      "RecoveryPolicy",
                      InformerOptions{.may_be_unserved = may_be}};
    informer.start();
    loop.advance(Duration::seconds(30));
    EXPECT_EQ(informer.is_synced(), may_be);
  }
}

TEST(Cache, IndexesFollowEveryChange) {
  Cache cache({"app"});
  const auto object = [](const std::string& name, const std::string& app, int revision) {
    Json pod = Json::object({{"kind", "Pod"}});
    pod.make("metadata") =
        Json::object({{"name", name},
                      {"namespace", "ns"},
                      {"resourceVersion", std::to_string(revision)},
                      {"labels", Json::object({{"app", app}, {"tier", "x"}})},
                      {"ownerReferences", Json::array({Json::object({{"uid", "owner-" + app}})})}});
    return pod;
  };
  cache.put(object("a", "web", 1));
  cache.put(object("b", "db", 2));
  EXPECT_EQ(cache.list_labelled("Pod", "app", "web").size(), 1u);
  cache.put(object("a", "db", 3));
  EXPECT_TRUE(cache.list_labelled("Pod", "app", "web").empty());
  EXPECT_EQ(cache.list_labelled("Pod", "app", "db").size(), 2u);
  EXPECT_EQ(cache.list_labelled("Pod", "tier", "x").size(), 2u);  // not indexed: scanned for
  EXPECT_EQ(cache.list_owned_by("Pod", "owner-db").size(), 2u);
  EXPECT_EQ(cache.list_pods_on("").size(), 2u);
  cache.put(object("a", "web", 2));  // of the past
  EXPECT_EQ(cache.list_labelled("Pod", "app", "db").size(), 2u);
  cache.remove(object("a", "db", 4));
  EXPECT_EQ(cache.list_owned_by("Pod", "owner-db").size(), 1u);
  EXPECT_EQ(cache.get("Pod", "ns", "a"), nullptr);
  EXPECT_EQ(cache.list("Pod", "n").size(), 0u) << "a namespace is not a prefix";
  EXPECT_FALSE(cache.is_synced("Pod"));
  cache.replace("Pod", {}, 9);
  EXPECT_TRUE(cache.is_synced("Pod"));
  EXPECT_TRUE(cache.list("Pod").empty());
  EXPECT_EQ(cache.last_seen("Pod"), 9u);
}

}  // namespace
}  // namespace pelton::client
