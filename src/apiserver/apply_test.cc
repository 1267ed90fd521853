// SPDX-License-Identifier: Apache-2.0
// Server-side apply and managedFields through the pipeline: what is stored, answered and refused.
#include <gtest/gtest.h>

#include "api/object.h"
#include "apiserver/test_server.h"
#include "sim/disk.h"

namespace pelton::apiserver {
namespace {

using base::Json;

const std::string kConfig = std::string(kConfigs) + "/a";
constexpr const char* kApply = "application/apply-patch+yaml";

RecordingSinkPtr apply(TestServer& s, const std::string& target, const std::string& body) {
  return s.patch(target, body, kAdmin, kApply);
}
std::string config(const std::string& more) {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n" + more;
}
std::string reason_of(const RecordingSinkPtr& sink) {
  return std::to_string(sink->answer.status) + " " + sink->json()["reason"].as_string();
}
/// "manager operation subresource" of each entry.
std::string managers_of(const Json& object) {
  std::vector<std::string> out;
  for (const Json& entry : object["metadata"]["managedFields"].items()) {
    std::string text = entry["manager"].as_string() + " " + entry["operation"].as_string();
    if (entry.contains("subresource")) text += " " + entry["subresource"].as_string();
    out.push_back(text);
  }
  return base::join(out, ", ");
}

TEST(Storage, AFullDiskIsA503ThatSaysWhatToDoAndReadingAndLaterWritingGoOn) {
  TestServer s;
  s.create(kConfigs, config_text("a"));
  s.sim().disk().set_capacity(s.sim().disk().used_bytes());
  const auto refused = s.call("POST", kConfigs, Json::parse(config_text("b")).value());
  EXPECT_EQ(refused->answer.status, 503);
  EXPECT_EQ(refused->json()["reason"].as_string(), "ServiceUnavailable");
  EXPECT_NE(refused->json()["message"].as_string().find("/store/log-"), std::string::npos)
      << refused->body;
  EXPECT_NE(refused->json()["message"].as_string().find("make room"), std::string::npos);
  EXPECT_EQ(s.call("GET", kConfigs)->json()["items"].items().size(), 1u);
  s.sim().disk().set_capacity({});
  s.create(kConfigs, config_text("b"));
}

TEST(StrictYaml, AKeyThatStandsTwiceIsRefusedOrWarnedAboutInTheWordsOfUpstream) {
  TestServer s;
  const std::string twice = config("data:\n  x: '1'\n  x: '2'\ndta: {}\n");
  const std::string found = "yaml: unmarshal errors:\n  line 6: key \"x\" already set in map";
  const auto post = [&](const std::string& validation) {
    auto sink = s.send("POST", std::string(kConfigs) + "?fieldValidation=" + validation, twice,
                       kAdmin, {{"Content-Type", "application/yaml"}});
    s.run(base::Duration::seconds(1));
    return sink;
  };
  EXPECT_EQ(reason_of(post("Strict")), "400 BadRequest");
  EXPECT_EQ(
      post("Strict")->json()["message"].as_string(),
      "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: " +
          found + ", unknown field \"dta\"");
  const auto applied = apply(s, kConfig + "?fieldManager=m&fieldValidation=Strict",
                             config("data:\n  x: '1'\n  x: '2'\n"));
  EXPECT_EQ(reason_of(applied), "400 BadRequest");
  EXPECT_EQ(applied->json()["message"].as_string(),
            "error strict decoding YAML: error converting YAML to JSON: " + found);
  EXPECT_EQ(s.call("GET", kConfig)->answer.status, 404);
  const auto warned = post("Warn");
  EXPECT_EQ(warned->answer.status, 201) << warned->body;
  EXPECT_EQ(warned->answer.headers.get("Warning"),
            "299 - \"line 6: key \\\"x\\\" already set in map\"");
  EXPECT_EQ(warned->json()["data"]["x"].as_string(), "2");
}

TEST(ServerSideApply, MakesAnObjectThatIsNotThereAndKeepsAVersionThatNothingChanges) {
  TestServer s;
  const auto made = apply(s, kConfig + "?fieldManager=m", config("data: {x: '1'}"));
  EXPECT_EQ(made->answer.status, 201) << made->body;
  EXPECT_EQ(managers_of(made->json()), "m Apply");
  EXPECT_EQ(made->json()["metadata"]["managedFields"][0]["fieldsV1"].dump(),
            R"({"f:data":{"f:x":{}}})");
  const auto again = apply(s, kConfig + "?fieldManager=m", config("data: {x: '1'}"));
  EXPECT_EQ(again->answer.status, 200) << again->body;
  EXPECT_EQ(again->body, made->body);
  s.restart();
  EXPECT_EQ(s.call("GET", kConfig)->json().dump(), made->json().dump());
}

TEST(ServerSideApply, AConflictIsA409WithACausePerField) {
  TestServer s;
  s.call("POST", kConfigs, Json::parse(config_text("a")).value(), kAdmin,
         {{"User-Agent", "kubectl/v1.37 (linux)"}});
  const auto refused = apply(s, kConfig + "?fieldManager=m", config("data: {x: '2'}"));
  EXPECT_EQ(reason_of(refused), "409 Conflict");
  const Json status = refused->json();
  EXPECT_EQ(status["message"].as_string(),
            "Apply failed with 1 conflict: conflict with \"kubectl\" using v1: .data.x");
  EXPECT_EQ(status["details"]["causes"].dump(),
            R"j([{"field":".data.x","message":"conflict with \"kubectl\" using v1",)j"
            R"j("reason":"FieldManagerConflict"}])j");
  EXPECT_EQ(s.call("GET", kConfig)->json()["data"]["x"].as_string(), "1");
  const auto taken = apply(s, kConfig + "?fieldManager=m&force=true", config("data: {x: '2'}"));
  EXPECT_EQ(taken->answer.status, 200);
  EXPECT_EQ(taken->json()["data"]["x"].as_string(), "2");
}

TEST(ServerSideApply, RefusesWhatItCannotMean) {
  TestServer s;
  s.create(kConfigs, config_text("b"));
  struct Case {
    const char* query;
    std::string body;
    const char* answer;
    const char* says;
  };
  const Case cases[] = {
      {"", config(""), "422 Invalid",
       "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for "
       "apply patch"},
      {"?fieldManager=m", "a: [", "400 BadRequest", "error decoding YAML"},
      {"?fieldManager=m", "[]", "400 BadRequest", "one object"},
      {"?fieldManager=m", "apiVersion: v1", "400 BadRequest", "Object 'Kind' is missing in"},
      {"?fieldManager=m", "kind: ConfigMap", "400 BadRequest",
       "Incorrect version specified in apply patch. Specified patch version: , expected: v1"},
      {"?fieldManager=m", "apiVersion: v1\nkind: Pod", "400 BadRequest", "kind"},
      {"?fieldManager=m", config("dta: {x: y}"), "500 ",
       "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .dta: field not declared in "
       "schema"},
      {"?fieldManager=m", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, managedFields: []}",
       "400 BadRequest", "metadata.managedFields must be nil"},
      {"?fieldManager=m", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, uid: u}",
       "409 Conflict",
       "uid mismatch: the provided object specified uid u, and no existing object was found"},
      {"?fieldManager=m", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}", "400 BadRequest",
       "does not match the name on the URL"},
  };
  for (const Case& c : cases) {
    const auto sink = apply(s, kConfig + c.query, c.body);
    EXPECT_EQ(reason_of(sink), c.answer) << c.body << "\n" << sink->body;
    EXPECT_NE(sink->json()["message"].as_string().find(c.says), std::string::npos) << sink->body;
  }
  EXPECT_EQ(s.call("GET", kConfig)->answer.status, 404);
  const std::string old = "apiVersion: v1\nkind: ConfigMap\nmetadata: {resourceVersion: '1'}";
  EXPECT_EQ(reason_of(apply(s, std::string(kConfigs) + "/b?fieldManager=m", old)), "409 Conflict");
  const auto force = s.patch(kConfig + "?force=true", "{}");
  EXPECT_EQ(reason_of(force), "422 Invalid") << force->body;
}

TEST(ServerSideApply, ADryRunStoresNothing) {
  TestServer s;
  const std::string query = "?fieldManager=m&dryRun=All";
  EXPECT_EQ(apply(s, kConfig + query, config("data: {x: '1'}"))->answer.status, 201);
  EXPECT_EQ(s.call("GET", kConfig)->answer.status, 404);
  const Json made = apply(s, kConfig + "?fieldManager=m", config("data: {x: '1'}"))->json();
  const auto changed = apply(s, kConfig + query, config("data: {w: '2'}"));
  EXPECT_EQ(changed->json()["data"].dump(), R"({"w":"2"})");
  EXPECT_EQ(s.call("GET", kConfig)->json().dump(), made.dump());
}

TEST(ServerSideApply, ARaceOfTwoFirstAppliesLeavesBothOwners) {
  TestServer s;
  const net::Headers headers = {{"Content-Type", kApply}};
  const auto one =
      s.send("PATCH", kConfig + "?fieldManager=one", config("data: {x: '1'}"), kAdmin, headers);
  const auto two =
      s.send("PATCH", kConfig + "?fieldManager=two", config("data: {z: '1'}"), kAdmin, headers);
  s.run(base::Duration::seconds(5));
  EXPECT_EQ(one->answer.status, 201) << one->body;
  EXPECT_EQ(two->answer.status, 200) << two->body;
  EXPECT_EQ(s.call("GET", kConfig)->json()["data"].dump(), R"({"x":"1","z":"1"})");
}

TEST(ManagedFields, EveryWriteAndEachSubresourceHasItsOwnEntry) {
  TestServer s;
  const std::string path = std::string(kPods) + "/a";
  s.call("POST", std::string(kPods) + "?fieldManager=maker",
         Json::parse(pod_text("a", R"(,"labels":{"x":"1"})")).value());
  s.patch(path + "/status?fieldManager=kubelet", R"({"status":{"phase":"Running"}})");
  s.patch(path + "?fieldManager=labeller", R"({"metadata":{"labels":{"x":"2","y":"1"}}})");
  Json pod = s.call("GET", path)->json();
  EXPECT_EQ(managers_of(pod), "kubelet Update status, labeller Update, maker Update");
  const Json& entries = pod["metadata"]["managedFields"];
  EXPECT_EQ(entries[0]["fieldsV1"].dump(), R"({"f:status":{"f:phase":{}}})");
  EXPECT_EQ(entries[1]["fieldsV1"].dump(), R"({"f:metadata":{"f:labels":{"f:x":{},"f:y":{}}}})");
  EXPECT_TRUE(entries[2]["fieldsV1"]["f:metadata"]["f:labels"]["f:x"].is_null());
  EXPECT_FALSE(entries[2]["fieldsV1"].contains("f:status"));
  pod.make("metadata.labels").set("z", "1");
  const auto put = s.call("PUT", path + "?fieldManager=putter", pod);
  EXPECT_EQ(put->answer.status, 200) << put->body;
  EXPECT_NE(managers_of(put->json()).find("putter Update"), std::string::npos);
  // Status of an apply through the object itself is not taken, and not owned.
  const auto applied = apply(s, path + "?fieldManager=m",
                             "{apiVersion: v1, kind: Pod, status: {phase: Failed}, metadata: "
                             "{annotations: {note: m}}}");
  EXPECT_EQ(applied->json()["status"]["phase"].as_string(), "Running") << applied->body;
  EXPECT_EQ(applied->json()["metadata"]["managedFields"][0]["fieldsV1"].dump(),
            R"({"f:metadata":{"f:annotations":{"f:note":{}}}})");
  const auto status = apply(s, path + "/status?fieldManager=m&force=true",
                            "{apiVersion: v1, kind: Pod, status: {message: hello}}");
  EXPECT_EQ(status->json()["status"]["message"].as_string(), "hello") << status->body;
  EXPECT_NE(managers_of(status->json()).find("m Apply status"), std::string::npos);
}

TEST(ManagedFields, ClientsMayRewriteAndResetThem) {
  TestServer s;
  s.call("POST", std::string(kConfigs) + "?fieldManager=kubectl-client-side-apply",
         Json::parse(config_text("a")).value());
  const Json made = s.call("GET", kConfig)->json();
  // What kubectl sends when it moves an object from client- to server-side apply.
  Json moved = made["metadata"]["managedFields"];
  moved.mutable_items()[0].set("manager", "kubectl");
  moved.mutable_items()[0].set("operation", "Apply");
  const Json patch = Json::array(
      {Json::object({{"op", "replace"}, {"path", "/metadata/managedFields"}, {"value", moved}}),
       Json::object({{"op", "replace"},
                     {"path", "/metadata/resourceVersion"},
                     {"value", api::resource_version_of(made)}})});
  const std::string json_patch = "application/json-patch+json";
  const auto answer = s.patch(kConfig + "?fieldManager=x", patch.dump(), kAdmin, json_patch);
  EXPECT_EQ(answer->answer.status, 200) << answer->body;
  EXPECT_EQ(managers_of(s.call("GET", kConfig)->json()), "kubectl Apply");
  EXPECT_EQ(reason_of(s.patch(kConfig, patch.dump(), kAdmin, json_patch)), "409 Conflict");
  s.patch(kConfig, R"({"metadata":{"managedFields":null}})");
  s.patch(kConfig, R"({"metadata":{"managedFields":[{"manager":"x"}]}})");
  EXPECT_EQ(managers_of(s.call("GET", kConfig)->json()), "kubectl Apply");
  s.patch(kConfig, R"({"metadata":{"managedFields":[]}})");
  EXPECT_EQ(managers_of(s.call("GET", kConfig)->json()), "");
  apply(s, kConfig + "?fieldManager=m", config("data: {z: '1'}"));
  EXPECT_EQ(managers_of(s.call("GET", kConfig)->json()), "m Apply, before-first-apply Update");
  s.patch(kConfig, R"({"metadata":{"managedFields":[{}]}})");
  EXPECT_EQ(managers_of(s.call("GET", kConfig)->json()), "");
  s.patch(kConfig, R"({"data":{"y":"1"}})");
  EXPECT_EQ(managers_of(s.call("GET", kConfig)->json()), "");
}

TEST(ManagedFields, TheManagerIsTheAgentsNameWhereNoneIsGiven) {
  TestServer s;
  const std::pair<std::string, std::string> cases[] = {
      {"kubectl/v1.37.0 (linux/amd64)", "kubectl"},
      {"", "unknown"},
      {"tool\twith tab", "toolwith tab"},
      {std::string(127, 'x') + "\xc3\xa4/1", std::string(127, 'x')},
  };
  int number = 0;
  for (const auto& [agent, manager] : cases) {
    const auto made =
        s.call("POST", kConfigs, Json::parse(config_text("c" + std::to_string(number++))).value(),
               kAdmin, {{"User-Agent", agent}});
    EXPECT_EQ(made->json()["metadata"]["managedFields"][0]["manager"].as_string(), manager);
  }
  const auto long_name =
      s.call("POST", std::string(kConfigs) + "?fieldManager=" + std::string(129, 'x'),
             Json::parse(config_text("d")).value());
  EXPECT_EQ(reason_of(long_name), "422 Invalid") << long_name->body;
}

}  // namespace
}  // namespace pelton::apiserver
