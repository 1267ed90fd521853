// SPDX-License-Identifier: Apache-2.0
// Lists and watches: no gap between them, selectors, bookmarks, history that is gone, slow clients.
#include <gtest/gtest.h>

#include "api/object.h"
#include "apiserver/test_server.h"

namespace pelton::apiserver {
namespace {

using base::Duration;
using base::Json;

const std::string kWatch = std::string(kConfigs) + "?watch=true";

std::string version_of(TestServer& s) {
  return s.call("GET", kConfigs)->json()["metadata"]["resourceVersion"].as_string();
}

TEST(Watch, FromAListsVersionMissesAndRepeatsNothing) {
  TestServer s;
  s.create(kConfigs, config_text("a"));
  const std::string version = version_of(s);
  s.create(kConfigs, config_text("b"));  // between list and watch
  const auto watch = s.send("GET", kWatch + "&resourceVersion=" + version);
  s.patch(std::string(kConfigs) + "/b", R"({"data":{"x":"2"}})");
  s.call("DELETE", std::string(kConfigs) + "/a");
  s.run(Duration::seconds(1));
  EXPECT_EQ(watch->story(), "ADDED b, MODIFIED b, DELETED a");
}

TEST(Watch, ShowsADeletedObjectAsItWasLastWithTheVersionOfItsDeletion) {
  TestServer s;
  const Json made = s.create(kConfigs, config_text("a"));
  const auto watch = s.send("GET", kWatch + "&resourceVersion=" + version_of(s));
  s.call("DELETE", std::string(kConfigs) + "/a");
  s.run(Duration::seconds(1));
  ASSERT_EQ(watch->events().size(), 1U);
  const Json last = watch->events()[0]["object"];
  EXPECT_EQ(last["data"]["x"].as_string(), "1");
  EXPECT_GT(std::stoull(api::resource_version_of(last)),
            std::stoull(api::resource_version_of(made)));
}

TEST(Watch, WithoutAVersionBeginsWithEverythingThatThereIs) {
  TestServer s;
  s.create(kConfigs, config_text("a"));
  for (const char* query : {"", "&resourceVersion=0"}) {
    const auto watch = s.send("GET", kWatch + query);
    EXPECT_EQ(watch->story(), "ADDED a") << query;
    watch->leave();
  }
}

TEST(Watch, SendsInitialEventsAndThenSaysThatTheyEnded) {
  TestServer s;
  s.create(kConfigs, config_text("a"));
  s.create(kConfigs, config_text("b"));
  const auto watch = s.send("GET", kWatch +
                                       "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
                                       "&allowWatchBookmarks=true&resourceVersion=");
  EXPECT_EQ(watch->story(), "ADDED a, ADDED b, BOOKMARK");
  const Json mark = watch->events()[2]["object"];
  EXPECT_EQ(api::annotation_of(mark, "k8s.io/initial-events-end"), "true");
  EXPECT_EQ(api::resource_version_of(mark), version_of(s));
  EXPECT_EQ(mark["kind"].as_string(), "ConfigMap");
  s.create(kConfigs, config_text("c"));
  s.run(Duration::seconds(1));
  EXPECT_EQ(watch->story(), "ADDED a, ADDED b, BOOKMARK, ADDED c");
}

TEST(Watch, RefusesOptionsThatDoNotGoTogether) {
  TestServer s;
  for (const char* query : {"&sendInitialEvents=true", "&resourceVersionMatch=NotOlderThan",
                            "&sendInitialEvents=true&resourceVersionMatch=Exact"}) {
    EXPECT_EQ(s.call("GET", kWatch + query)->answer.status, 422) << query;
  }
  EXPECT_EQ(s.call("GET", kWatch + "&resourceVersion=abc")->answer.status, 400);
  EXPECT_EQ(s.call("GET", kWatch + "&fieldSelector=spec.color%3Dred")->answer.status, 400);
}

TEST(Watch, AnObjectThatEntersOrLeavesTheSelectionIsAddedOrDeleted) {
  TestServer s;
  s.create(kConfigs, config_text("a", R"({"app":"x"})"));
  const auto watch =
      s.send("GET", kWatch + "&labelSelector=app%3Dx&resourceVersion=" + version_of(s));
  const std::string path = std::string(kConfigs) + "/a";
  s.patch(path, R"({"data":{"x":"2"}})");
  s.patch(path, R"({"metadata":{"labels":{"app":"y"}}})");
  s.patch(path, R"({"data":{"x":"3"}})");
  s.patch(path, R"({"metadata":{"labels":{"app":"x"}}})");
  s.create(kConfigs, config_text("other"));
  s.call("DELETE", path);
  s.call("DELETE", std::string(kConfigs) + "/other");
  s.run(Duration::seconds(1));
  EXPECT_EQ(watch->story(), "MODIFIED a, DELETED a, ADDED a, DELETED a");
  // What left is shown as it was while it was in.
  EXPECT_EQ(watch->events()[1]["object"]["metadata"]["labels"]["app"].as_string(), "x");
}

TEST(Watch, FollowsAPodToItsNodeByFieldSelector) {
  TestServer s;
  s.create("/api/v1/nodes", node_text("n1"));
  s.create(kPods, pod_text("a"));
  const auto watch = s.send("GET", "/api/v1/pods?watch=true&fieldSelector=spec.nodeName%3Dn1", "",
                            node_identity("n1"));
  EXPECT_EQ(watch->story(), "");
  s.call("POST", std::string(kPods) + "/a/binding",
         Json::parse(R"({"target":{"kind":"Node","name":"n1"}})").value());
  s.patch(std::string(kPods) + "/a/status", R"({"status":{"phase":"Running"}})",
          node_identity("n1"));
  s.run(Duration::seconds(1));
  EXPECT_EQ(watch->story(), "ADDED a, MODIFIED a");
}

TEST(Watch, KeepsAnIdleClientsVersionFreshByBookmarks) {
  ApiServerOptions options;
  options.bookmark_interval = Duration::seconds(10);
  TestServer s(1, options);
  const auto quiet = s.send("GET", kWatch +
                                       "&allowWatchBookmarks=true&labelSelector=app%3Dx"
                                       "&resourceVersion=" +
                                       version_of(s));
  const auto plain =
      s.send("GET", kWatch + "&labelSelector=app%3Dx&resourceVersion=" + version_of(s));
  s.create(kConfigs, config_text("other"));
  s.run(Duration::seconds(11));
  ASSERT_EQ(quiet->story(), "BOOKMARK");
  EXPECT_EQ(api::resource_version_of(quiet->events()[0]["object"]), version_of(s));
  EXPECT_EQ(plain->story(), "");
}

TEST(Watch, EndsWhenItsTimeIsOver) {
  TestServer s;
  const auto watch = s.send("GET", kWatch + "&timeoutSeconds=20&resourceVersion=" + version_of(s));
  s.run(Duration::seconds(19));
  EXPECT_FALSE(watch->has_ended);
  s.run(Duration::seconds(2));
  EXPECT_TRUE(watch->has_ended);
}

TEST(Watch, SaysWhenTheHistoryIsGoneAndWhenItHasNotHappened) {
  store::Options small;
  small.history_events = 10;
  small.history_age = {};
  TestServer s(1, {}, small);
  s.create(kConfigs, config_text("a"));
  const std::string old = version_of(s);
  for (int i = 0; i < 50; ++i) {
    s.patch(std::string(kConfigs) + "/a", R"({"data":{"x":")" + std::to_string(i) + R"(v"}})");
  }
  const auto watch = s.send("GET", kWatch + "&resourceVersion=" + old);
  s.run(Duration::seconds(1));
  ASSERT_EQ(watch->story(), "ERROR");
  EXPECT_EQ(watch->events()[0]["object"]["code"].as_int(), 410);
  EXPECT_EQ(watch->events()[0]["object"]["reason"].as_string(), "Expired");
  EXPECT_TRUE(watch->has_ended);

  const auto list =
      s.call("GET", std::string(kConfigs) + "?resourceVersionMatch=Exact&resourceVersion=" + old);
  EXPECT_EQ(list->answer.status, 410);
  const auto future = s.call("GET", std::string(kConfigs) + "?resourceVersion=999999999");
  EXPECT_EQ(future->answer.status, 504);
  EXPECT_EQ(future->json()["details"]["causes"][size_t{0}]["reason"].as_string(),
            "ResourceVersionTooLarge");
}

TEST(Watch, AClientThatTakesNothingIsCutAndTheOthersGoOn) {
  store::Options small;
  small.watch_backlog_bytes = 1000;
  small.watch_lag_events = 20;
  TestServer s(1, {}, small);
  s.create(kConfigs, config_text("a"));
  const std::string version = version_of(s);
  const auto slow = s.send("GET", kWatch + "&resourceVersion=" + version);
  const auto quick = s.send("GET", kWatch + "&resourceVersion=" + version);
  slow->untaken = 1 << 20;
  for (int i = 0; i < 100; ++i) {
    s.patch(std::string(kConfigs) + "/a", R"({"data":{"x":")" + std::to_string(i) + R"(v"}})");
  }
  s.run(Duration::seconds(1));
  EXPECT_TRUE(slow->has_ended);
  EXPECT_LT(slow->events().size(), 50U);
  EXPECT_FALSE(quick->has_ended);
  EXPECT_EQ(quick->events().size(), 100U);
}

TEST(Watch, AServerThatStopsEndsItsWatches) {
  TestServer s;
  const auto watch = s.send("GET", kWatch);
  const std::string version = version_of(s);
  s.restart();
  EXPECT_TRUE(watch->has_ended);
  // The version that the client holds is still good for the next server.
  const auto next = s.send("GET", kWatch + "&resourceVersion=" + version);
  s.create(kConfigs, config_text("a"));
  s.run(Duration::seconds(1));
  EXPECT_TRUE(next->story() == "ADDED a" || next->story() == "ERROR") << next->story();
}

TEST(Watch, AsATableHasItsColumnsOnce) {
  TestServer s;
  s.create(kPods, pod_text("a"));
  s.create(kPods, pod_text("b"));
  const auto watch = s.send("GET", std::string(kPods) + "?watch=true", "", kAdmin,
                            {{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"}});
  const auto events = watch->events();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_GT(events[0]["object"]["columnDefinitions"].size(), 3U);
  EXPECT_EQ(events[1]["object"]["columnDefinitions"].size(), 0U);
  EXPECT_EQ(events[1]["object"]["rows"][size_t{0}]["cells"][size_t{0}].as_string(), "b");
}

// ---- lists --------------------------------------------------------------------------------------

std::string names_of(const Json& list) {
  std::vector<std::string> names;
  for (const Json& item : list["items"].items()) names.push_back(api::name_of(item));
  return base::join(names, " ");
}

TEST(List, PagesShowOneMomentThoughObjectsChangeInBetween) {
  TestServer s;
  for (const char* name : {"a", "b", "c", "d", "e"}) s.create(kConfigs, config_text(name));
  Json page = s.call("GET", std::string(kConfigs) + "?limit=2")->json();
  EXPECT_EQ(names_of(page), "a b");
  EXPECT_EQ(page["metadata"]["remainingItemCount"].as_int(), 3);
  const std::string version = page["metadata"]["resourceVersion"].as_string();
  s.call("DELETE", std::string(kConfigs) + "/c");
  s.create(kConfigs, config_text("cc"));
  const auto next = [&] {
    return s
        .call("GET", std::string(kConfigs) + "?limit=2&continue=" +
                         base::percent_encode(page["metadata"]["continue"].as_string()))
        ->json();
  };
  page = next();
  EXPECT_EQ(names_of(page), "c d");
  EXPECT_EQ(page["metadata"]["resourceVersion"].as_string(), version);
  page = next();
  EXPECT_EQ(names_of(page), "e");
  EXPECT_FALSE(page["metadata"].contains("continue"));
}

TEST(List, APageWhoseMomentIsForgottenGivesATokenToGoOnWithoutConsistency) {
  store::Options small;
  small.history_events = 10;
  small.history_age = {};
  TestServer s(1, {}, small);
  for (const char* name : {"a", "b", "c", "d"}) s.create(kConfigs, config_text(name));
  const Json first = s.call("GET", std::string(kConfigs) + "?limit=2")->json();
  const auto go_on = [&](const Json& from, const std::string& more = "") {
    return s.call("GET", std::string(kConfigs) + "?limit=2" + more + "&continue=" +
                             base::percent_encode(from["metadata"]["continue"].as_string()));
  };
  for (int i = 0; i < 50; ++i) {
    s.patch(std::string(kConfigs) + "/a", R"({"data":{"x":")" + std::to_string(i) + R"(v"}})");
  }
  s.create(kConfigs, config_text("cc"));
  const auto lost = go_on(first);
  EXPECT_EQ(lost->answer.status, 410) << lost->body;
  EXPECT_EQ(lost->json()["reason"].as_string(), "Expired");
  const Json second = go_on(lost->json())->json();
  EXPECT_EQ(names_of(second), "c cc");
  EXPECT_EQ(names_of(go_on(second)->json()), "d");
  EXPECT_EQ(go_on(first, "&resourceVersion=7")->answer.status, 400);
  EXPECT_FALSE(s.call("GET", std::string(kConfigs) + "?continue=x")
                   ->json()["metadata"]
                   .contains("continue"));
}

TEST(List, EmptyIsAListAndMetadataCanBeHadAlone) {
  TestServer s;
  const auto empty = s.call("GET", kConfigs);
  EXPECT_NE(empty->body.find("\"items\":[]"), std::string::npos) << empty->body;
  const auto none =
      s.call("GET", std::string(kConfigs) + "?labelSelector=a%3Db", {}, kAdmin,
             {{"Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}});
  EXPECT_NE(none->body.find("\"items\":[]"), std::string::npos) << none->body;
  s.create(kConfigs, config_text("a"));
  const net::Headers one = {
      {"Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}};
  const Json object = s.call("GET", std::string(kConfigs) + "/a", {}, kAdmin, one)->json();
  EXPECT_EQ(object["kind"].as_string(), "PartialObjectMetadata");
  EXPECT_EQ(api::name_of(object), "a");
  EXPECT_FALSE(object.contains("data"));
  const Json list =
      s.call("GET", kConfigs, {}, kAdmin,
             {{"Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}})
          ->json();
  EXPECT_EQ(list["kind"].as_string(), "PartialObjectMetadataList");
  EXPECT_EQ(names_of(list), "a");
  const auto watch = s.send("GET", kWatch, "", kAdmin, one);
  s.call("DELETE", std::string(kConfigs) + "/a");
  s.run(Duration::seconds(1));
  EXPECT_EQ(watch->story(), "ADDED a, DELETED a");
  EXPECT_EQ(watch->events()[1]["object"]["kind"].as_string(), "PartialObjectMetadata");
  EXPECT_FALSE(watch->events()[1]["object"].contains("data"));
}

TEST(List, APageIsFilledWithWhatMatches) {
  TestServer s;
  for (int i = 0; i < 9; ++i) {
    s.create(kConfigs, config_text("c" + std::to_string(i),
                                   i % 3 == 0 ? R"({"app":"x"})" : R"({"app":"y"})"));
  }
  const Json page = s.call("GET", std::string(kConfigs) + "?limit=2&labelSelector=app%3Dx")->json();
  EXPECT_EQ(names_of(page), "c0 c3");
  const Json rest =
      s.call("GET", std::string(kConfigs) + "?limit=2&labelSelector=app%3Dx&continue=" +
                        base::percent_encode(page["metadata"]["continue"].as_string()))
          ->json();
  EXPECT_EQ(names_of(rest), "c6");
}

TEST(List, AllNamespacesAndExactVersions) {
  TestServer s;
  s.create("/api/v1/namespaces/kube-public/configmaps", config_text("k"));
  s.create(kConfigs, config_text("a"));
  const std::string version = version_of(s);
  s.create(kConfigs, config_text("b"));
  EXPECT_EQ(names_of(s.call("GET", "/api/v1/configmaps")->json()), "a b k");
  EXPECT_EQ(names_of(s.call("GET", std::string(kConfigs) +
                                       "?resourceVersionMatch=Exact&resourceVersion=" + version)
                         ->json()),
            "a");
  const Json list = s.call("GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Dk")->json();
  EXPECT_EQ(names_of(list), "k");
  EXPECT_EQ(list["kind"].as_string(), "ConfigMapList");
}

}  // namespace
}  // namespace pelton::apiserver
