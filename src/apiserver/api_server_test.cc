// SPDX-License-Identifier: Apache-2.0
// The pipeline over a real store in the simulated world: writes, conflicts, deletes, bindings.
#include <gtest/gtest.h>

#include "api/object.h"
#include "apiserver/test_server.h"

namespace pelton::apiserver {
namespace {

using base::Json;

std::string reason_of(const RecordingSinkPtr& sink) {
  return std::to_string(sink->answer.status) + " " + sink->json()["reason"].as_string();
}

TEST(ApiServer, MakesAnObjectAndGivesItBackWithWhatTheServerAdds) {
  TestServer s;
  const Json made = s.create(kPods, pod_text("a"));
  EXPECT_EQ(made["kind"].as_string(), "Pod");
  EXPECT_EQ(api::namespace_of(made), "default");
  EXPECT_EQ(api::uid_of(made).size(), 36U);
  EXPECT_FALSE(api::resource_version_of(made).empty());
  EXPECT_EQ(made["metadata"]["creationTimestamp"].as_string(), "2026-01-01T00:00:00Z");
  EXPECT_EQ(made["status"]["phase"].as_string(), "Pending");
  EXPECT_EQ(made["spec"]["restartPolicy"].as_string(), "Always");
  const auto got = s.call("GET", std::string(kPods) + "/a");
  EXPECT_EQ(got->answer.status, 200);
  EXPECT_TRUE(got->json() == made) << got->body;
}

TEST(ApiServer, TellsMetricsToWhoMonitorsAndToNobodyElse) {
  ApiServerOptions options;
  base::Result<std::string> metrics = std::string("up 1\n");
  options.metrics = [&] { return metrics; };
  TestServer server(1, options);
  const net::Identity monitoring{"prometheus", {"system:monitoring"}};
  // As a scraper asks that wants nothing but a form that is not served.
  const auto answer = server.call("GET", "/metrics", {}, monitoring,
                                  {{"Accept", "application/openmetrics-text;version=1.0.0"}});
  EXPECT_EQ(answer->answer.status, 200);
  EXPECT_EQ(answer->body, "up 1\n");
  EXPECT_EQ(answer->answer.headers.get("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(server.call("GET", "/metrics", {}, {})->answer.status, 401);
  EXPECT_EQ(server.call("GET", "/metrics", {}, node_identity("n1"))->answer.status, 403);
  EXPECT_EQ(server.call("POST", "/metrics", {}, kAdmin)->answer.status, 405);
  EXPECT_EQ(server.call("GET", "/api/v1/pods", {}, monitoring)->answer.status, 403);
  metrics = base::unavailable("not yet");
  EXPECT_EQ(server.call("GET", "/metrics", {}, monitoring)->answer.status, 503);
  EXPECT_EQ(TestServer().call("GET", "/metrics")->answer.status, 404) << "who offers none";
}

TEST(ApiServer, RefusesBadInputAndStoresNothing) {
  struct Case {
    const char* body;
    const char* type;
    const char* answer;
    const char* says;
  };
  const Case cases[] = {
      {"{", "application/json", "400 BadRequest", "json parse error"},
      {"a: [", "application/yaml", "400 BadRequest", "YAML"},
      {"x", "application/vnd.kubernetes.protobuf", "400 BadRequest", "protobuf"},
      {"x", "application/cbor", "415 UnsupportedMediaType", "application/yaml"},
      {R"({"kind":"Service","apiVersion":"v1","metadata":{"name":"a"}})", "", "400 BadRequest",
       "Service"},
      {R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"A_b"},"spec":{"containers":[{"name":"c","image":"i"}]}})",
       "", "422 Invalid", "metadata.name"},
      {R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{"containers":[]}})", "",
       "422 Invalid", "spec.containers: Required value"},
      {R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{"containers":{}}})", "",
       "400 BadRequest", "spec.containers"},
      {R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"other"}})", "",
       "400 BadRequest", "does not match the namespace"},
      {R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","resourceVersion":"7"},"spec":{"containers":[{"name":"c","image":"i"}]}})",
       "", "400 BadRequest", "resourceVersion should not be set"},
      {R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"many"}}}]}})",
       "", "400 BadRequest", "quantities must match"},
  };
  TestServer s;
  for (const Case& c : cases) {
    const auto sink = s.send("POST", kPods, c.body, kAdmin, {{"Content-Type", c.type}});
    s.run(base::Duration::seconds(1));
    EXPECT_EQ(reason_of(sink), c.answer) << c.body << "\n" << sink->body;
    EXPECT_NE(sink->json()["message"].as_string().find(c.says), std::string::npos) << sink->body;
  }
  EXPECT_EQ(s.call("GET", kPods)->json()["items"].size(), 0U);
}

TEST(ApiServer, RefusesAnObjectOverTheLimitAlsoWhenAPatchMakesIt) {
  TestServer s;
  const std::string big(size_t{4} << 20, 'x');
  auto sink = s.call("POST", kConfigs, Json::parse(config_text("a", "{}", big)).value());
  EXPECT_EQ(reason_of(sink), "413 RequestEntityTooLarge");
  s.create(kConfigs, config_text("b", "{}", std::string(900'000, 'x')));
  sink = s.patch(std::string(kConfigs) + "/b",
                 R"({"metadata":{"annotations":{"a":")" + std::string(3'000'000, 'y') + "\"}}}");
  EXPECT_GE(sink->answer.status, 413) << sink->body.substr(0, 300);
  EXPECT_TRUE(
      s.call("GET", std::string(kConfigs) + "/b")->json()["metadata"]["annotations"].empty());
}

TEST(ApiServer, UnknownFieldsAreRefusedWarnedAboutOrIgnored) {
  TestServer s;
  const auto body = [](const char* name) {
    return Json::parse(R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":")" +
                       std::string(name) + R"("},"dta":{}})")
        .value();
  };
  const std::string base = kConfigs;
  auto sink = s.call("POST", base + "?fieldValidation=Strict", body("a"));
  EXPECT_EQ(sink->answer.status, 400);
  EXPECT_NE(sink->body.find("unknown field \\\"dta\\\""), std::string::npos) << sink->body;
  sink = s.call("POST", base + "?fieldValidation=Warn", body("b"));
  EXPECT_EQ(sink->answer.status, 201);
  EXPECT_EQ(sink->answer.headers.get("Warning"), "299 - \"unknown field \\\"dta\\\"\"");
  sink = s.call("POST", base + "?fieldValidation=Ignore", body("c"));
  EXPECT_EQ(sink->answer.status, 201);
  EXPECT_FALSE(sink->answer.headers.contains("Warning"));
  EXPECT_FALSE(sink->json().contains("dta"));
}

TEST(ApiServer, StrictValidationNamesWhatFellAwayInEveryWrite) {
  TestServer s;
  const std::string path = std::string(kConfigs) + "/a";
  s.create(kConfigs, config_text("a"));
  const std::string strict = "?fieldValidation=Strict";
  const std::string twice =
      R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"b"},"data":{"x":"1","x":"2"},)"
      R"("dta":{}})";
  auto sink = s.send("POST", kConfigs + strict, twice);
  EXPECT_EQ(sink->answer.status, 400);
  EXPECT_EQ(sink->json()["message"].as_string(),
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: "
            "unknown field \"dta\", duplicate field \"data.x\"");
  // A server without the parameter warns.
  sink = s.call("POST", kConfigs, Json::parse(twice).value());
  EXPECT_EQ(sink->answer.headers.get("Warning"), "299 - \"unknown field \\\"dta\\\"\"");
  sink = s.patch(path + strict, R"({"data":{"y":"1","y":"2"},"dta":"x"})");
  EXPECT_EQ(reason_of(sink), "422 Invalid");
  EXPECT_NE(sink->json()["message"].as_string().find(
                "strict decoding error: unknown field \"dta\", duplicate field \"data.y\""),
            std::string::npos)
      << sink->body;
  EXPECT_EQ(sink->json()["details"]["causes"][size_t{0}]["field"].as_string(), "patch");
  EXPECT_FALSE(s.call("GET", path)->json()["data"].contains("y"));
  sink = s.patch(path + "?fieldValidation=Ignore", R"({"data":{"y":"1","y":"2"},"dta":"x"})");
  EXPECT_EQ(sink->json()["data"]["y"].as_string(), "2");
  EXPECT_FALSE(sink->answer.headers.contains("Warning"));
}

TEST(ApiServer, KeepsNamesApartAndMakesNewOnesOnRequest) {
  TestServer s;
  s.create(kConfigs, config_text("a"));
  const auto again = s.call("POST", kConfigs, Json::parse(config_text("a")).value());
  EXPECT_EQ(reason_of(again), "409 AlreadyExists");
  EXPECT_EQ(again->json()["message"].as_string(), "configmaps \"a\" already exists");
  std::set<std::string> names;
  for (int i = 0; i < 5; ++i) {
    const Json made = s.create(
        kConfigs, R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"generateName":"g-"}})");
    EXPECT_EQ(api::name_of(made).size(), 7U);
    names.insert(api::name_of(made));
  }
  EXPECT_EQ(names.size(), 5U);
}

TEST(ApiServer, ARaceForOneNameHasOneWinner) {
  TestServer s;
  const auto one = s.send("POST", kConfigs, config_text("a", "{}", "1"));
  const auto two = s.send("POST", kConfigs, config_text("a", "{}", "2"));
  s.run(base::Duration::seconds(5));
  EXPECT_EQ(one->answer.status, 201);
  EXPECT_EQ(reason_of(two), "409 AlreadyExists");
}

TEST(ApiServer, AReplaceOfAnOldVersionIsAConflictAndOneWithoutAVersionIsNot) {
  TestServer s;
  const std::string path = std::string(kConfigs) + "/a";
  Json first = s.create(kConfigs, config_text("a"));
  Json changed = first;
  changed.make("data").set("x", "2");
  EXPECT_EQ(s.call("PUT", path, changed)->answer.status, 200);
  changed.make("data").set("x", "3");
  const auto stale = s.call("PUT", path, changed);
  EXPECT_EQ(reason_of(stale), "409 Conflict");
  EXPECT_EQ(stale->json()["message"].as_string(),
            "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; "
            "please apply your changes to the latest version and try again");
  changed.make("metadata").erase("resourceVersion");
  EXPECT_EQ(s.call("PUT", path, changed)->answer.status, 200);
  changed.make("metadata").set("uid", "another");
  EXPECT_EQ(reason_of(s.call("PUT", path, changed)), "409 Conflict");
}

TEST(ApiServer, AnUpdateThatChangesNothingKeepsTheVersion) {
  TestServer s;
  const Json made = s.create(kPods, pod_text("a"));
  const auto sink = s.call("PUT", std::string(kPods) + "/a", made);
  EXPECT_EQ(sink->answer.status, 200) << sink->body;
  EXPECT_EQ(api::resource_version_of(sink->json()), api::resource_version_of(made));
}

TEST(ApiServer, ConcurrentPatchesAllLand) {
  TestServer s;
  s.create(kConfigs, config_text("a"));
  std::vector<RecordingSinkPtr> sinks;
  for (int i = 0; i < 8; ++i) {
    sinks.push_back(s.send("PATCH", std::string(kConfigs) + "/a",
                           R"({"data":{"k)" + std::to_string(i) + R"(":"v"}})", kAdmin,
                           {{"Content-Type", "application/merge-patch+json"}}));
  }
  s.run(base::Duration::seconds(30));
  for (const auto& sink : sinks) EXPECT_EQ(sink->answer.status, 200) << sink->body;
  EXPECT_EQ(s.call("GET", std::string(kConfigs) + "/a")->json()["data"].size(), 9U);
}

TEST(ApiServer, AppliesEachKindOfPatch) {
  TestServer s;
  s.create(kPods, pod_text("a", R"(,"labels":{"old":"1"})"));
  const std::string path = std::string(kPods) + "/a";
  auto sink = s.patch(path, R"([{"op":"add","path":"/metadata/labels/new","value":"2"}])", kAdmin,
                      "application/json-patch+json");
  EXPECT_EQ(sink->answer.status, 200) << sink->body;
  sink = s.patch(path, R"({"spec":{"containers":[{"name":"c","image":"alpine"}]}})", kAdmin,
                 "application/strategic-merge-patch+json");
  EXPECT_EQ(sink->answer.status, 200) << sink->body;
  sink = s.patch(path, R"({"metadata":{"labels":{"old":null}}})");
  const Json pod = sink->json();
  EXPECT_EQ(pod["metadata"]["labels"].dump(), R"({"new":"2"})");
  EXPECT_EQ(pod["spec"]["containers"][size_t{0}]["image"].as_string(), "alpine");
  sink = s.patch(path, "{}", kAdmin, "application/apply-patch+cbor");
  EXPECT_EQ(sink->answer.status, 415);
}

TEST(ApiServer, StatusAndSpecDoNotTouchEachOther) {
  TestServer s;
  s.create(kPods, pod_text("a"));
  const std::string path = std::string(kPods) + "/a";
  auto sink =
      s.patch(path + "/status", R"({"metadata":{"labels":{"x":"y"}},"status":{"phase":"Running"},)"
                                R"("spec":{"nodeName":"n"}})");
  EXPECT_EQ(sink->answer.status, 200) << sink->body;
  EXPECT_EQ(sink->json()["status"]["phase"].as_string(), "Running");
  EXPECT_FALSE(sink->json()["spec"].contains("nodeName"));
  sink = s.patch(path, R"({"status":{"phase":"Failed"},"metadata":{"annotations":{"a":"b"}}})");
  EXPECT_EQ(sink->json()["status"]["phase"].as_string(), "Running");
}

TEST(ApiServer, GenerationCountsChangesOfSpecOnly) {
  TestServer s;
  const std::string jobs = "/apis/batch/v1/namespaces/default/jobs";
  const Json made = s.create(
      jobs,
      R"({"kind":"Job","apiVersion":"batch/v1","metadata":{"name":"j"},"spec":{"template":{"spec":)"
      R"({"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}})");
  EXPECT_EQ(api::generation_of(made), 1);
  EXPECT_EQ(
      made["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"].as_string(),
      api::uid_of(made));
  EXPECT_EQ(
      api::generation_of(s.patch(jobs + "/j", R"({"metadata":{"labels":{"a":"b"}}})")->json()), 1);
  EXPECT_EQ(api::generation_of(s.patch(jobs + "/j", R"({"spec":{"suspend":true}})")->json()), 2);
  EXPECT_EQ(api::generation_of(s.patch(jobs + "/j/status", R"({"status":{"active":1}})")->json()),
            2);
}

TEST(ApiServer, TakesWhatGoClientsSendForATimeThatIsNotSet) {
  TestServer s;
  const Json made =
      s.create(kConfigs, R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a",)"
                         R"("creationTimestamp":null},"data":null})");
  EXPECT_EQ(made["metadata"]["creationTimestamp"].as_string(), "2026-01-01T00:00:00Z");
  const auto sink = s.patch(std::string(kConfigs) + "/a?fieldManager=m&fieldValidation=Strict",
                            R"({"apiVersion":"v1","kind":"ConfigMap","metadata":)"
                            R"({"creationTimestamp":null,"labels":{"a":"b"}}})",
                            kAdmin, "application/apply-patch+yaml");
  EXPECT_EQ(sink->answer.status, 200) << sink->body;
  EXPECT_EQ(sink->json()["metadata"]["creationTimestamp"].as_string(), "2026-01-01T00:00:00Z");
}

TEST(ApiServer, DryRunAnswersAsIfAndStoresNothing) {
  TestServer s;
  const std::string all = "?dryRun=All";
  EXPECT_EQ(s.call("POST", kConfigs + all, Json::parse(config_text("a")).value())->answer.status,
            201);
  EXPECT_EQ(s.call("GET", std::string(kConfigs) + "/a")->answer.status, 404);
  s.create(kConfigs, config_text("a"));
  const std::string path = std::string(kConfigs) + "/a";
  EXPECT_EQ(s.patch(path + all, R"({"data":{"x":"9"}})")->json()["data"]["x"].as_string(), "9");
  EXPECT_EQ(s.call("DELETE", path + all)->answer.status, 200);
  EXPECT_EQ(s.call("GET", path)->json()["data"]["x"].as_string(), "1");
  const std::string before = s.call("GET", path)->body;
  EXPECT_EQ(s.call("PUT", path + all, Json::parse(config_text("a", "{}", "8")).value())
                ->json()["data"]["x"]
                .as_string(),
            "8");
  EXPECT_EQ(s.call("DELETE", kConfigs + all)->json()["items"].size(), 1U);
  const Json body = Json::parse(R"({"kind":"DeleteOptions","dryRun":["All"]})").value();
  EXPECT_EQ(s.call("DELETE", path, body)->answer.status, 200);
  EXPECT_EQ(s.call("POST", kConfigs + all, Json::parse(config_text("a")).value())->answer.status,
            409);
  EXPECT_EQ(reason_of(s.call("PUT", path + "?dryRun=Some", Json())), "422 Invalid");
  EXPECT_EQ(s.call("GET", path)->body, before);
}

TEST(ApiServer, ADeletedNamespaceTakesNothingNewAndGoesWhenFinalized) {
  TestServer s;
  s.create("/api/v1/namespaces",
           R"({"kind":"Namespace","apiVersion":"v1","metadata":{"name":"a"}})");
  const std::string configs = "/api/v1/namespaces/a/configmaps";
  s.create(configs, config_text("x"));
  EXPECT_EQ(s.call("DELETE", "/api/v1/namespaces/a")->json()["status"]["phase"].as_string(),
            "Terminating");
  const auto late = s.call("POST", configs, Json::parse(config_text("y")).value());
  EXPECT_EQ(reason_of(late), "403 Forbidden");
  EXPECT_EQ(late->json()["details"]["causes"][size_t{0}]["reason"].as_string(),
            "NamespaceTerminating");
  Json ns = s.call("GET", "/api/v1/namespaces/a")->json();
  ns.make("spec").erase("finalizers");
  EXPECT_EQ(s.call("PUT", "/api/v1/namespaces/a/finalize", ns)->answer.status, 200);
  EXPECT_EQ(s.call("GET", "/api/v1/namespaces/a")->answer.status, 404);
  const auto nowhere = s.call("POST", configs, Json::parse(config_text("z")).value());
  EXPECT_EQ(nowhere->json()["message"].as_string(), "namespaces \"a\" not found");
}

TEST(ApiServer, ACreateThatRacesWithTheDeletionOfItsNamespaceDoesNotSlipIn) {
  TestServer s;
  s.create("/api/v1/namespaces",
           R"({"kind":"Namespace","apiVersion":"v1","metadata":{"name":"a"}})");
  const auto gone = s.send("DELETE", "/api/v1/namespaces/a");
  const auto late = s.send("POST", "/api/v1/namespaces/a/configmaps", config_text("x"));
  s.run(base::Duration::seconds(5));
  EXPECT_EQ(gone->answer.status, 200);
  EXPECT_EQ(reason_of(late), "403 Forbidden") << late->body;
}

TEST(ApiServer, FinalizersHoldAnObjectAndNoNewOnesMayBeAdded) {
  TestServer s;
  s.create(kConfigs, R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a",)"
                     R"("finalizers":["example.com/x"]}})");
  const std::string path = std::string(kConfigs) + "/a";
  const auto marked = s.call("DELETE", path);
  EXPECT_EQ(marked->answer.status, 200);
  EXPECT_TRUE(api::is_being_deleted(marked->json()));
  const auto added =
      s.patch(path, R"({"metadata":{"finalizers":["example.com/x","example.com/y"]}})");
  EXPECT_EQ(reason_of(added), "422 Invalid") << added->body;
  EXPECT_EQ(s.patch(path, R"({"metadata":{"finalizers":null}})")->answer.status, 200);
  EXPECT_EQ(s.call("GET", path)->answer.status, 404);
}

TEST(ApiServer, ABoundPodIsDeletedInTwoSteps) {
  TestServer s;
  s.create("/api/v1/nodes", node_text("n1"));
  s.create(kPods, pod_text("a"));
  const std::string path = std::string(kPods) + "/a";
  const Json binding = Json::parse(R"({"target":{"kind":"Node","name":"n1"}})").value();
  EXPECT_EQ(s.call("POST", path + "/binding", binding)->answer.status, 201);
  EXPECT_EQ(reason_of(s.call("POST", path + "/binding", binding)), "409 Conflict");
  const Json marked = s.call("DELETE", path)->json();
  EXPECT_EQ(marked["metadata"]["deletionGracePeriodSeconds"].as_int(), 30);
  // The node's agent has stopped it. Another node may not say so.
  const Json now = Json::parse(R"({"kind":"DeleteOptions","gracePeriodSeconds":0})").value();
  EXPECT_EQ(reason_of(s.call("DELETE", path, now, node_identity("n2"))), "403 Forbidden");
  EXPECT_EQ(s.call("DELETE", path, now, node_identity("n1"))->answer.status, 200);
  EXPECT_EQ(s.call("GET", path)->answer.status, 404);
}

TEST(ApiServer, DeletesACollectionBySelector) {
  TestServer s;
  s.create(kConfigs, config_text("a", R"({"app":"x"})"));
  s.create(kConfigs, config_text("b", R"({"app":"y"})"));
  s.create(kConfigs, config_text("c", R"({"app":"x"})"));
  const auto sink = s.call("DELETE", std::string(kConfigs) + "?labelSelector=app%3Dx");
  EXPECT_EQ(sink->json()["items"].size(), 2U) << sink->body;
  const Json left = s.call("GET", kConfigs)->json();
  ASSERT_EQ(left["items"].size(), 1U);
  EXPECT_EQ(api::name_of(left["items"][size_t{0}]), "b");
}

std::string gang_text(const std::vector<std::pair<std::string, std::string>>& pods) {
  Json bindings = Json::array();
  for (const auto& [pod, node] : pods) {
    bindings.push_back(Json::object({{"podName", pod}, {"nodeName", node}}));
  }
  return Json::object({{"kind", "GangBinding"},
                       {"apiVersion", "pelton.dev/v1alpha1"},
                       {"metadata", Json::object({{"name", "g"}})},
                       {"spec", Json::object({{"bindings", bindings}})}})
      .dump();
}
constexpr const char* kGangs = "/apis/pelton.dev/v1alpha1/namespaces/default/gangbindings";

std::string node_of_pod(TestServer& s, const std::string& pod) {
  return s.call("GET", std::string(kPods) + "/" + pod)->json()["spec"]["nodeName"].as_string();
}

TEST(ApiServer, BindsAGangWholeOrNotAtAll) {
  TestServer s;
  for (const char* node : {"n1", "n2"}) s.create("/api/v1/nodes", node_text(node));
  for (const char* pod : {"a", "b", "c"}) s.create(kPods, pod_text(pod));
  struct Case {
    std::vector<std::pair<std::string, std::string>> pods;
    const char* names;
  };
  const Case cases[] = {{{{"a", "n1"}, {"nobody", "n2"}}, "pod \"nobody\""},
                        {{{"a", "n1"}, {"b", "gone"}}, "pod \"b\" on node \"gone\""}};
  for (const Case& c : cases) {
    const auto sink = s.call("POST", kGangs, Json::parse(gang_text(c.pods)).value());
    EXPECT_EQ(reason_of(sink), "409 Conflict");
    EXPECT_NE(sink->json()["message"].as_string().find(c.names), std::string::npos) << sink->body;
    EXPECT_EQ(node_of_pod(s, "a"), "");
  }
  const Json gang = Json::parse(gang_text({{"a", "n1"}, {"b", "n2"}})).value();
  EXPECT_EQ(s.call("POST", kGangs, gang)->answer.status, 201);
  EXPECT_EQ(node_of_pod(s, "a"), "n1");
  EXPECT_EQ(node_of_pod(s, "b"), "n2");
  EXPECT_EQ(reason_of(s.call("POST", kGangs, gang)), "409 Conflict");
}

TEST(ApiServer, AGangThatLosesOnePodToARaceBindsNone) {
  TestServer s;
  for (const char* node : {"n1", "n2", "n3"}) s.create("/api/v1/nodes", node_text(node));
  for (const char* pod : {"a", "b"}) s.create(kPods, pod_text(pod));
  // The single binding is ordered first, while the gang still saw both pods free.
  const auto single = s.send("POST", std::string(kPods) + "/b/binding",
                             R"({"target":{"kind":"Node","name":"n3"}})");
  const auto gang = s.send("POST", kGangs, gang_text({{"a", "n1"}, {"b", "n2"}}));
  s.run(base::Duration::seconds(5));
  EXPECT_EQ(single->answer.status, 201);
  EXPECT_EQ(reason_of(gang), "409 Conflict");
  EXPECT_EQ(node_of_pod(s, "a"), "");
  EXPECT_EQ(node_of_pod(s, "b"), "n3");
}

TEST(ApiServer, AGangDoesNotLandOnANodeThatGoesMeanwhile) {
  TestServer s;
  for (const char* node : {"n1", "n2"}) s.create("/api/v1/nodes", node_text(node));
  for (const char* pod : {"a", "b"}) s.create(kPods, pod_text(pod));
  s.send("DELETE", "/api/v1/nodes/n2");
  const auto gang = s.send("POST", kGangs, gang_text({{"a", "n1"}, {"b", "n2"}}));
  s.run(base::Duration::seconds(5));
  EXPECT_EQ(reason_of(gang), "409 Conflict") << gang->body;
  EXPECT_EQ(node_of_pod(s, "a"), "");
}

TEST(ApiServer, OnlyTheOpenPathsAnswerWithoutACredential) {
  TestServer s;
  const net::Identity nobody;
  for (const char* path : {"/healthz", "/livez", "/readyz"}) {
    EXPECT_EQ(s.call("GET", path, {}, nobody)->answer.status, 200) << path;
  }
  for (const char* path : {"/api", "/apis", "/version", "/openapi/v3", "/api/v1/pods", "/"}) {
    EXPECT_EQ(reason_of(s.call("GET", path, {}, nobody)), "401 Unauthorized") << path;
  }
}

TEST(ApiServer, ANodeReadsASecretOnlyWhileAPodOfItsOwnUsesIt) {
  TestServer s;
  const std::string secrets = "/api/v1/namespaces/default/secrets";
  s.create(secrets, R"({"kind":"Secret","apiVersion":"v1","metadata":{"name":"k"}})");
  s.create(kPods,
           R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{"nodeName":"n1",)"
           R"("containers":[{"name":"c","image":"i"}],)"
           R"("volumes":[{"name":"v","secret":{"secretName":"k"}}]}})");
  EXPECT_EQ(s.call("GET", secrets + "/k", {}, node_identity("n1"))->answer.status, 200);
  EXPECT_EQ(reason_of(s.call("GET", secrets + "/k", {}, node_identity("n2"))), "403 Forbidden");
  EXPECT_EQ(reason_of(s.call("GET", std::string(kPods) + "/a", {}, node_identity("n2"))),
            "403 Forbidden");
  s.create(secrets, R"({"kind":"Secret","apiVersion":"v1","metadata":{"name":"other"}})");
  EXPECT_EQ(reason_of(s.call("GET", secrets + "/other", {}, node_identity("n1"))), "403 Forbidden");
}

TEST(ApiServer, ANodeMakesAndKeepsItsOwnNodeAndLeaseOnly) {
  TestServer s;
  const auto post = [&](const char* node, const std::string& text) {
    return s.call("POST", "/api/v1/nodes", Json::parse(text).value(), node_identity(node))
        ->answer.status;
  };
  EXPECT_EQ(post("n1", node_text("n1")), 201);
  EXPECT_EQ(post("n1", node_text("n2")), 403);
  const std::string lease =
      R"({"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"n2"}})";
  EXPECT_EQ(s.call("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
                   Json::parse(lease).value(), node_identity("n1"))
                ->answer.status,
            403);
}

TEST(ApiServer, GivesServicesDistinctAddressesAlsoWhenTheyRace) {
  TestServer s;
  const std::string services = "/api/v1/namespaces/default/services";
  std::vector<RecordingSinkPtr> sinks;
  for (const char* name : {"a", "b", "c"}) {
    sinks.push_back(s.send("POST", services,
                           R"({"kind":"Service","apiVersion":"v1","metadata":{"name":")" +
                               std::string(name) + R"("},"spec":{"ports":[{"port":80}]}})"));
  }
  s.run(base::Duration::seconds(5));
  std::set<std::string> addresses;
  for (const auto& sink : sinks) {
    addresses.insert(sink->json()["spec"]["clusterIP"].as_string());
  }
  EXPECT_EQ(addresses, (std::set<std::string>{"10.96.0.10", "10.96.0.11", "10.96.0.12"}));
}

TEST(ApiServer, KeepsEverythingAcrossARestartAndUsesNoVersionTwice) {
  TestServer s;
  const Json made = s.create(kConfigs, config_text("a"));
  s.restart();
  EXPECT_TRUE(s.call("GET", std::string(kConfigs) + "/a")->json() == made);
  const Json next = s.create(kConfigs, config_text("b"));
  EXPECT_GT(std::stoull(api::resource_version_of(next)),
            std::stoull(api::resource_version_of(made)));
}

TEST(ApiServer, AnswersInTheFormThatWasAskedFor) {
  TestServer s;
  s.create(kPods, pod_text("a"));
  const net::Headers table = {{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"}};
  const Json list = s.call("GET", kPods, {}, kAdmin, table)->json();
  EXPECT_EQ(list["kind"].as_string(), "Table");
  EXPECT_EQ(list["columnDefinitions"][size_t{0}]["name"].as_string(), "Name");
  ASSERT_EQ(list["rows"].size(), 1U);
  EXPECT_EQ(list["rows"][size_t{0}]["cells"][size_t{0}].as_string(), "a");
  EXPECT_EQ(list["rows"][size_t{0}]["object"]["kind"].as_string(), "PartialObjectMetadata");
  const net::Headers partial = {
      {"Accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}};
  const Json metadata = s.call("GET", kPods, {}, kAdmin, partial)->json();
  EXPECT_EQ(metadata["kind"].as_string(), "PartialObjectMetadataList");
  EXPECT_FALSE(metadata["items"][size_t{0}].contains("spec"));
  EXPECT_EQ(s.call("GET", kPods, {}, kAdmin, {{"Accept", "application/vnd.kubernetes.protobuf"}})
                ->answer.status,
            406);
}

TEST(ApiServer, TellsWhatItOffersInBothForms) {
  TestServer s;
  const net::Headers aggregated = {
      {"Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}};
  const auto apis = s.call("GET", "/apis", {}, kAdmin, aggregated);
  EXPECT_EQ(apis->answer.headers.get("Content-Type"),
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  std::set<std::string> groups;
  const Json offered = apis->json();
  for (const Json& group : offered["items"].items()) {
    groups.insert(group["metadata"]["name"].as_string());
  }
  EXPECT_TRUE(groups.count("batch") && groups.count("jobset.x-k8s.io") &&
              groups.count("pelton.dev") && groups.count("coordination.k8s.io"));
  const std::string tag(apis->answer.headers.get("ETag"));
  net::Headers again = aggregated;
  again.add("If-None-Match", tag);
  EXPECT_EQ(s.call("GET", "/apis", {}, kAdmin, again)->answer.status, 304);

  std::set<std::string> names;
  const Json legacy = s.call("GET", "/api/v1")->json();
  for (const Json& r : legacy["resources"].items()) {
    names.insert(r["name"].as_string());
  }
  for (const char* name : {"pods", "pods/log", "pods/binding", "pods/status", "nodes", "events"}) {
    EXPECT_TRUE(names.count(name)) << name;
  }
  EXPECT_EQ(s.call("GET", "/apis/batch/v1")->json()["groupVersion"].as_string(), "batch/v1");
  EXPECT_EQ(s.call("GET", "/apis/nothing")->answer.status, 404);
  EXPECT_EQ(s.call("GET", "/api/v1/gadgets")->answer.status, 404);
  EXPECT_EQ(s.call("POST", std::string(kPods) + "/a")->answer.status, 405);
}

TEST(ApiServer, EventsAreTheSameInBothGroups) {
  TestServer s;
  s.create(
      "/api/v1/namespaces/default/events",
      R"({"kind":"Event","apiVersion":"v1","metadata":{"name":"e"},"involvedObject":{"kind":"Pod",)"
      R"("namespace":"default","name":"a"},"reason":"Started","message":"m","type":"Normal"})");
  const auto sink = s.call("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e");
  EXPECT_EQ(sink->answer.status, 200);
  const Json event = sink->json();
  EXPECT_EQ(event["apiVersion"].as_string(), "events.k8s.io/v1");
  EXPECT_EQ(event["regarding"]["name"].as_string(), "a");
  EXPECT_EQ(event["note"].as_string(), "m");
}

TEST(ApiServer, AServerThatIsGoneAnswersWith503) {
  auto s = std::make_unique<TestServer>();
  net::Handler handler = s->server().handler();
  auto sink = std::make_shared<RecordingSink>();
  s.reset();
  net::Request request;
  request.target = "/api/v1/pods";
  request.identity = kAdmin;
  handler(std::move(request), sink);
  EXPECT_EQ(sink->answer.status, 503);
}

// ---- pods/log -----------------------------------------------------------------------------------

class FakeKubelet final : public KubeletClient {
 public:
  std::unique_ptr<net::Exchange> send(const std::string& node, const world::Address& address,
                                      net::Request request, net::ResponseEvents e) override {
    asked = node + " " + address.to_string() + " " + request.target;
    events = std::move(e);
    struct Nothing final : net::Exchange {};
    return std::make_unique<Nothing>();
  }
  std::string asked;
  net::ResponseEvents events;
};

class PodLog : public ::testing::Test {
 protected:
  PodLog() {
    ApiServerOptions options;
    options.kubelets = &kubelet_;
    server_ = std::make_unique<TestServer>(1, options);
    server_->create("/api/v1/nodes", node_text("n1"));
    server_->patch("/api/v1/nodes/n1/status",
                   R"({"status":{"addresses":[{"type":"InternalIP","address":"127.0.0.1"}],)"
                   R"("daemonEndpoints":{"kubeletEndpoint":{"Port":10250}}}})");
    server_->create(kPods, R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{)"
                           R"("nodeName":"n1","containers":[{"name":"c","image":"i"}]}})");
  }
  FakeKubelet kubelet_;
  std::unique_ptr<TestServer> server_;
};

TEST_F(PodLog, IsPassedThroughAsItComes) {
  const auto sink = server_->send("GET", std::string(kPods) + "/a/log?follow=true&tailLines=5");
  EXPECT_EQ(kubelet_.asked,
            "n1 127.0.0.1:10250 /containerLogs/default/a/c?follow=true&tailLines=5");
  kubelet_.events.on_head(net::ResponseHead{});
  kubelet_.events.on_data("one\n");
  EXPECT_EQ(sink->body, "one\n");
  EXPECT_FALSE(sink->has_ended);
  kubelet_.events.on_end(base::ok());
  EXPECT_TRUE(sink->has_ended);
}

TEST_F(PodLog, SaysWhatTheKubeletSaysWhenItRefuses) {
  const auto sink = server_->send("GET", std::string(kPods) + "/a/log");
  net::ResponseHead head;
  head.status = 400;
  kubelet_.events.on_head(head);
  kubelet_.events.on_data("container \"c\" in pod \"a\" is waiting to start");
  kubelet_.events.on_end(base::ok());
  EXPECT_EQ(reason_of(sink), "400 BadRequest");
  EXPECT_NE(sink->body.find("waiting to start"), std::string::npos);
}

TEST_F(PodLog, AKubeletThatIsAwayIs503AndAClientThatLeavesEndsTheExchange) {
  const auto away = server_->send("GET", std::string(kPods) + "/a/log");
  kubelet_.events.on_end(base::unavailable("connection refused"));
  EXPECT_EQ(reason_of(away), "503 ServiceUnavailable");
  const auto left = server_->send("GET", std::string(kPods) + "/a/log?follow=true");
  kubelet_.events.on_head(net::ResponseHead{});
  left->leave();
  kubelet_.events.on_data("late\n");
  EXPECT_EQ(left->body, "");
}

TEST_F(PodLog, AsksForTheContainerWhereThereAreSeveral) {
  server_->create(kPods, R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"two"},"spec":{)"
                         R"("nodeName":"n1","containers":[{"name":"c","image":"i"},)"
                         R"({"name":"d","image":"i"}]}})");
  const auto sink = server_->call("GET", std::string(kPods) + "/two/log");
  EXPECT_EQ(sink->json()["message"].as_string(),
            "a container name must be specified for pod two, choose one of: [c d]");
  EXPECT_EQ(reason_of(server_->call("GET", std::string(kPods) + "/two/log?container=x")),
            "400 BadRequest");
}

}  // namespace
}  // namespace pelton::apiserver
