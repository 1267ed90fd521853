// SPDX-License-Identifier: Apache-2.0
#include "client/client.h"

#include <gtest/gtest.h>

#include "client/in_process.h"
#include "client/testing/fake_loop.h"

namespace pelton::client {
namespace {

using base::Code;
using base::Duration;
using base::Json;
using base::Result;

/// A handler that keeps what it is asked, and answers as told.
class ClientTest : public ::testing::Test {
 protected:
  struct Asked {
    net::Request request;
    net::ResponseSinkPtr sink;
  };
  net::Request& request(size_t i) { return asked.at(i).request; }
  void answer(size_t i, int status, const std::string& body) {
    asked.at(i).sink->respond(status, "application/json", body);
    loop.settle();
  }
  Client::ObjectDone keep() {
    return [this](Result<Json> r) { results.push_back(std::move(r)); };
  }
  static Json pod(const std::string& name) {
    return Json::object({{"apiVersion", "v1"},
                         {"kind", "Pod"},
                         {"metadata", Json::object({{"name", name}, {"namespace", "ns"}})}});
  }

  FakeLoop loop;
  std::vector<Asked> asked;
  InProcessTransport transport{
      [this](net::Request r, net::ResponseSinkPtr s) { asked.push_back({std::move(r), s}); },
      {"tester", {"g"}},
      loop};
  std::unique_ptr<Client> client = std::make_unique<Client>(transport, loop);
  std::vector<Result<Json>> results;
};

TEST_F(ClientTest, VerbsHaveTheirPathsAndBodies) {
  client->get({"Node", "", "n"}, keep());
  client->create(pod("a"), keep());
  client->update_status(pod("a"), keep());
  client->patch({"Job", "ns", "j"}, PatchType::StrategicMerge, Json::object({{"x", 1}}), "status",
                keep());
  client->remove({"JobSet", "ns", "s"}, {"u1", "7", 0, "Foreground"}, keep());
  client->bind("ns", {"a", "uid-a", "node-1"}, keep());
  client->bind_gang("ns", "train", {{"a", "uid-a", "node-1"}}, keep());
  loop.settle();
  ASSERT_EQ(asked.size(), 7u);
  const auto line = [&](size_t i) { return request(i).method + " " + request(i).target; };
  EXPECT_EQ(line(0), "GET /api/v1/nodes/n");
  EXPECT_EQ(line(1), "POST /api/v1/namespaces/ns/pods");
  EXPECT_EQ(line(2), "PUT /api/v1/namespaces/ns/pods/a/status");
  EXPECT_EQ(line(3), "PATCH /apis/batch/v1/namespaces/ns/jobs/j/status");
  EXPECT_EQ(request(3).headers.get("content-type"), "application/strategic-merge-patch+json");
  EXPECT_EQ(line(4), "DELETE /apis/jobset.x-k8s.io/v1alpha2/namespaces/ns/jobsets/s");
  EXPECT_EQ(Json::parse(request(4).body)->at("preconditions"),
            Json::object({{"resourceVersion", "7"}, {"uid", "u1"}}));
  EXPECT_EQ(line(5), "POST /api/v1/namespaces/ns/pods/a/binding");
  EXPECT_EQ(Json::parse(request(5).body)->at("target.name").as_string(), "node-1");
  EXPECT_EQ(line(6), "POST /apis/pelton.dev/v1alpha1/namespaces/ns/gangbindings");
  EXPECT_EQ(Json::parse(request(6).body)->at("spec.bindings")[size_t{0}]["podUID"].as_string(),
            "uid-a");
  EXPECT_EQ(request(0).identity.name, "tester");
}

TEST_F(ClientTest, StatusesBecomeErrorsWithReasonAndCauses) {
  client->create(pod("a"), keep());
  client->get({"Pod", "ns", "a"}, keep());
  client->get({"Pod", "ns", "a"}, keep());
  loop.settle();
  answer(0, 422, R"({"kind":"Status","reason":"Invalid","code":422,"message":"Pod \"a\" is invalid",
    "details":{"causes":[{"reason":"FieldValueRequired","field":"spec.containers",
                          "message":"Required value"}]}})");
  answer(1, 500, "boom");
  answer(2, 200, R"({"kind":"Pod"})");
  ASSERT_EQ(results.size(), 3u);
  const base::Status invalid = results[0].status();
  EXPECT_EQ(invalid.code(), Code::InvalidArgument);
  EXPECT_EQ(invalid.reason(), "Invalid");
  ASSERT_EQ(invalid.causes().size(), 1u);
  EXPECT_EQ(invalid.causes()[0].field, "spec.containers");
  EXPECT_EQ(results[1].status().code(), Code::Internal);
  EXPECT_EQ(results[1].status().message(), "the server answered HTTP 500: boom");
  EXPECT_TRUE(results[2].ok());
}

TEST_F(ClientTest, AWriteWithoutAnAnswerIsOfUnknownOutcomeAndAReadIsUnavailable) {
  client->create(pod("a"), keep());
  client->get({"Pod", "ns", "a"}, keep());
  loop.settle();
  EXPECT_TRUE(results.empty());
  loop.advance(Duration::seconds(31));
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].status().code(), Code::OutcomeUnknown);
  EXPECT_EQ(results[1].status().code(), Code::Unavailable);
  EXPECT_TRUE(asked[0].sink->is_gone());
  answer(0, 200, "{}");  // too late
  EXPECT_EQ(results.size(), 2u);
}

TEST_F(ClientTest, AWriteWhoseServerBreaksIsOfUnknownOutcome) {
  client->create(pod("a"), keep());
  client->create(pod("b"), keep());
  loop.settle();
  answer(0, 500, R"({"kind":"Status","code":500,"message":"etcdserver: request timed out"})");
  answer(1, 201, "not json");
  EXPECT_EQ(results[0].status().code(), Code::OutcomeUnknown);
  EXPECT_EQ(results[1].status().code(), Code::OutcomeUnknown);
}

TEST_F(ClientTest, AnUnknownKindIsRefusedWithoutARequest) {
  client->get({"Gizmo", "ns", "a"}, keep());
  EXPECT_TRUE(results.empty());
  loop.settle();
  EXPECT_EQ(results.at(0).status().code(), Code::InvalidArgument);
  EXPECT_TRUE(asked.empty());
}

TEST_F(ClientTest, ListsAreReadPageByPage) {
  std::optional<ObjectList> list;
  client->list("Pod", "ns", {.label_selector = "a=b", .limit = 1},
               [&](Result<ObjectList> r) { list = std::move(*r); });
  loop.settle();
  EXPECT_EQ(request(0).target, "/api/v1/namespaces/ns/pods?labelSelector=a%3Db&limit=1");
  answer(0, 200, R"({"metadata":{"resourceVersion":"9","continue":"T/"},
                     "items":[{"metadata":{"name":"a"}}]})");
  EXPECT_EQ(request(1).target,
            "/api/v1/namespaces/ns/pods?labelSelector=a%3Db&limit=1&continue=T%2F");
  answer(1, 200, R"({"metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":"b"}}]})");
  ASSERT_TRUE(list.has_value());
  EXPECT_EQ(list->revision, 9u);
  ASSERT_EQ(list->items.size(), 2u);
  EXPECT_EQ(list->items[1]["kind"].as_string(), "Pod");
  EXPECT_EQ(list->items[1]["apiVersion"].as_string(), "v1");
}

TEST_F(ClientTest, AListWhosePagesAreGoneIsBegunAnewInOnePiece) {
  std::optional<ObjectList> list;
  client->list("Pod", "", {.limit = 1}, [&](Result<ObjectList> r) { list = std::move(*r); });
  loop.settle();
  answer(0, 200, R"({"metadata":{"resourceVersion":"9","continue":"T"},
                     "items":[{"metadata":{"name":"old"}}]})");
  answer(1, 410, R"({"kind":"Status","reason":"Expired","code":410})");
  EXPECT_EQ(request(2).target, "/api/v1/pods");
  answer(2, 200, R"({"metadata":{"resourceVersion":"12"},"items":[{"metadata":{"name":"new"}}]})");
  ASSERT_TRUE(list.has_value());
  ASSERT_EQ(list->items.size(), 1u);
  EXPECT_EQ(list->items[0]["metadata"]["name"].as_string(), "new");
}

TEST_F(ClientTest, ADestroyedClientIsSilent) {
  client->get({"Pod", "ns", "a"}, keep());
  client->get({"Gizmo", "ns", "a"}, keep());
  client->get({"Pod", "ns", "b"}, [&](Result<Json>) { client.reset(); });
  loop.settle();
  client->get({"Pod", "ns", "c"}, keep());
  loop.settle();
  answer(1, 200, "{}");
  EXPECT_EQ(client, nullptr);
  answer(0, 200, "{}");
  loop.advance(Duration::minutes(5));
  EXPECT_EQ(results.size(), 1u);  // the kind that is not known
}

class WatchTest : public ClientTest {
 protected:
  void begin() {
    watch = client->watch("Pod", "ns", {.field_selector = "spec.nodeName=n", .from_revision = 5},
                          {[this](WatchEventType type, Json object) {
                             events.emplace_back(type, std::move(object));
                             if (on_event) on_event();
                           },
                           [this](base::Status s) { end = s; }});
    loop.settle();
  }
  void head() { asked.at(0).sink->head({200, {}}); }
  void send(const std::string& bytes) {
    asked.at(0).sink->write(bytes);
    loop.settle();
  }
  std::unique_ptr<Watch> watch;
  std::vector<std::pair<WatchEventType, Json>> events;
  std::function<void()> on_event;
  std::optional<base::Status> end;
};

TEST_F(WatchTest, EventsMayArriveInAnyPieces) {
  begin();
  EXPECT_EQ(request(0).target,
            "/api/v1/namespaces/ns/pods?watch=true&allowWatchBookmarks=true&resourceVersion=5"
            "&timeoutSeconds=300&fieldSelector=spec.nodeName%3Dn");
  head();
  send(R"({"type":"ADDED","obj)");
  EXPECT_TRUE(events.empty());
  send("ect\":{\"x\":1}}\n\n{\"type\":\"BOOKMARK\",\"object\":{}}\n{\"type\":");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].first, WatchEventType::Added);
  EXPECT_EQ(events[0].second["x"].as_int(), 1);
  EXPECT_EQ(events[1].first, WatchEventType::Bookmark);
  send("\"DELETED\",\"object\":{}}\n");
  EXPECT_EQ(events.back().first, WatchEventType::Deleted);
  asked[0].sink->end();
  loop.settle();
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(end->ok());
}

TEST_F(WatchTest, AnErrorEventEndsIt) {
  begin();
  head();
  send(R"({"type":"ERROR","object":{"kind":"Status","reason":"Expired","code":410}})"
       "\n"
       R"({"type":"ADDED","object":{}})"
       "\n");
  EXPECT_EQ(end->code(), Code::Gone);
  EXPECT_TRUE(events.empty());
}

TEST_F(WatchTest, WhatCannotBeReadLeadsToANewList) {
  begin();
  head();
  send("<html>\n");
  EXPECT_EQ(end->code(), Code::Gone);
}

TEST_F(WatchTest, ARefusalIsAnError) {
  begin();
  answer(0, 403, R"({"kind":"Status","reason":"Forbidden","code":403,"message":"no"})");
  EXPECT_EQ(end->code(), Code::Forbidden);
}

TEST_F(WatchTest, ASilentConnectionIsGivenUp) {
  begin();
  head();
  loop.advance(Duration::minutes(5));
  EXPECT_FALSE(end.has_value());
  loop.advance(Duration::seconds(31));
  EXPECT_EQ(end->code(), Code::Unavailable);
}

TEST_F(WatchTest, MayBeDestroyedWithinItsOwnEvents) {
  begin();
  head();
  on_event = [this] { watch.reset(); };
  send("{\"type\":\"ADDED\",\"object\":{}}\n{\"type\":\"ADDED\",\"object\":{}}\n");
  send("{\"type\":\"ADDED\",\"object\":{}}\n");
  EXPECT_EQ(events.size(), 1u);
  EXPECT_FALSE(end.has_value());
  EXPECT_TRUE(asked[0].sink->is_gone());
}

}  // namespace
}  // namespace pelton::client
