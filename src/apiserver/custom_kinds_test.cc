// SPDX-License-Identifier: Apache-2.0
// CustomResourceDefinitions and the kinds that come of them, through the whole pipeline.
#include <gtest/gtest.h>

#include "apiserver/test_server.h"

namespace pelton::apiserver {
namespace {

using base::Json;

constexpr const char* kDefinitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
constexpr const char* kWidgets = "/apis/example.com/v1/namespaces/default/widgets";

/// A kind Widget with two versions; `more` goes into the schema of spec of both.
Json widget_definition(const std::string& more = "") {
  const std::string schema =
      R"({"openAPIV3Schema":{"type":"object","properties":{
           "spec":{"type":"object","required":["size"],"properties":{
             "size":{"type":"integer","minimum":1},
             "color":{"type":"string","enum":["red","blue"],"default":"red"},
             "parts":{"type":"array","x-kubernetes-list-type":"map",
                      "x-kubernetes-list-map-keys":["name"],
                      "items":{"type":"object","required":["name"],"properties":{
                        "name":{"type":"string"},"count":{"type":"integer","default":1}}}},
             "extra":{"type":"object","x-kubernetes-preserve-unknown-fields":true})" +
      more + R"(}},
           "status":{"type":"object","properties":{"ready":{"type":"integer"}}}}}})";
  return Json::parse(
             R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
       "metadata":{"name":"widgets.example.com"},
       "spec":{"group":"example.com","scope":"Namespaced",
         "names":{"plural":"widgets","kind":"Widget","shortNames":["wd"]},
         "versions":[
           {"name":"v1","served":true,"storage":true,"schema":)" +
             schema + R"(,
            "subresources":{"status":{},"scale":{"specReplicasPath":".spec.size",
                                                 "statusReplicasPath":".status.ready"}},
            "selectableFields":[{"jsonPath":".spec.color"}],
            "additionalPrinterColumns":[
              {"name":"Size","type":"integer","jsonPath":".spec.size"},
              {"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}]},
           {"name":"v1beta1","served":true,"storage":false,"deprecated":true,"schema":)" +
             schema + R"(}]}})")
      .value();
}

Json widget(const std::string& name, const std::string& spec = R"({"size":3})",
            const std::string& more = "") {
  return Json::parse(R"({"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":")" +
                     name + "\"" + more + R"(},"spec":)" + spec + "}")
      .value();
}

class CustomKinds : public ::testing::Test {
 protected:
  void define(const Json& definition) {
    const auto sink = server_.call("POST", kDefinitions, definition);
    ASSERT_EQ(sink->answer.status, 201) << sink->body;
  }
  Json make(const Json& object) {
    const auto sink = server_.call("POST", kWidgets, object);
    EXPECT_EQ(sink->answer.status, 201) << sink->body;
    return sink->json();
  }
  Json get(const std::string& target, int status = 200) {
    const auto sink = server_.call("GET", target);
    EXPECT_EQ(sink->answer.status, status) << target << " " << sink->body;
    return sink->json();
  }
  /// "REASON field" of each cause.
  static std::vector<std::string> causes(const Json& status) {
    std::vector<std::string> out;
    for (const Json& cause : status["details"]["causes"].items()) {
      out.push_back(cause["reason"].as_string() + " " + cause["field"].as_string());
    }
    return out;
  }

  TestServer server_;
};

TEST_F(CustomKinds, AreServedAsSoonAsTheirDefinitionIsAnswered) {
  get(kWidgets, 404);
  const Json made = server_.call("POST", kDefinitions, widget_definition())->json();
  EXPECT_EQ(made["status"]["storedVersions"], Json::array({"v1"}));
  EXPECT_EQ(made["status"]["acceptedNames"]["listKind"], Json("WidgetList"));
  std::vector<std::string> conditions;
  for (const Json& condition : made["status"]["conditions"].items()) {
    conditions.push_back(condition["type"].as_string() + "=" + condition["status"].as_string());
  }
  EXPECT_EQ(conditions, (std::vector<std::string>{"NamesAccepted=True", "Established=True"}));
  make(widget("a"));
  EXPECT_EQ(get(kWidgets)["kind"], Json("WidgetList"));
  EXPECT_EQ(get(kWidgets)["items"].size(), 1U);
  const Json groups = get("/apis/example.com");
  EXPECT_EQ(groups["versions"][0]["version"], Json("v1"));
  EXPECT_EQ(groups["versions"][1]["version"], Json("v1beta1"));
  EXPECT_EQ(get("/apis/example.com/v1")["resources"][0]["shortNames"], Json::array({"wd"}));
  const Json openapi = get("/openapi/v3/apis/example.com/v1");
  EXPECT_TRUE(
      openapi["components"]["schemas"]["com.example.v1.Widget"]["properties"]["spec"]["properties"]
          .contains("size"));
}

TEST_F(CustomKinds, OutliveARestart) {
  define(widget_definition());
  make(widget("a"));
  server_.restart();
  EXPECT_EQ(get(std::string(kWidgets) + "/a")["spec"]["size"], Json(3));
}

TEST_F(CustomKinds, ArePrunedAndDefaulted) {
  define(widget_definition());
  const auto sink = server_.call(
      "POST", kWidgets,
      widget("a", R"({"size":1,"oops":1,"parts":[{"name":"x","no":2}],"extra":{"any":[1]}})"));
  ASSERT_EQ(sink->answer.status, 201) << sink->body;
  EXPECT_EQ(sink->json()["spec"],
            Json::parse(R"({"size":1,"color":"red","parts":[{"name":"x","count":1}],
                            "extra":{"any":[1]}})")
                .value());
  EXPECT_EQ(sink->answer.headers.get("Warning"), "299 - \"unknown field \\\"spec.oops\\\"\"");
  const auto strict = server_.call("POST", std::string(kWidgets) + "?fieldValidation=Strict",
                                   widget("b", R"({"size":1,"oops":1})"));
  EXPECT_EQ(strict->answer.status, 400);
}

TEST_F(CustomKinds, AreValidatedBySchema) {
  define(widget_definition());
  const auto bad = server_.call(
      "POST", kWidgets,
      widget("a",
             R"({"size":0,"color":"green","parts":[{"name":"x"},{"name":"x"},{"count":"2"}]})"));
  EXPECT_EQ(bad->answer.status, 422);
  EXPECT_EQ(causes(bad->json()),
            (std::vector<std::string>{
                "FieldValueNotSupported spec.color", "FieldValueDuplicate spec.parts[1]",
                "FieldValueRequired spec.parts[2].name",
                "FieldValueTypeInvalid spec.parts[2].count", "FieldValueInvalid spec.size"}));
  EXPECT_EQ(causes(server_.call("POST", kWidgets, widget("a", "{}"))->json()),
            std::vector<std::string>{"FieldValueRequired spec.size"});
}

TEST_F(CustomKinds, KeepWhatBecameInvalidAndDidNotChange) {
  define(widget_definition());
  make(widget("a", R"({"size":2,"color":"blue"})"));
  const std::string definition = std::string(kDefinitions) + "/widgets.example.com";
  const auto stricter = server_.patch(
      definition,
      R"([{"op":"replace","path":"/spec/versions/0/schema/openAPIV3Schema/properties/)"
      R"(spec/properties/size/minimum","value":5}])",
      kAdmin, "application/json-patch+json");
  ASSERT_EQ(stricter->answer.status, 200) << stricter->body;
  EXPECT_EQ(
      server_.patch(std::string(kWidgets) + "/a", R"({"spec":{"color":"red"}})")->answer.status,
      200);
  EXPECT_EQ(server_.patch(std::string(kWidgets) + "/a", R"({"spec":{"size":3}})")->answer.status,
            422);
}

TEST_F(CustomKinds, CountGenerationsOfSpecAndKeepStatusApart) {
  define(widget_definition());
  make(widget("a"));
  const std::string path = std::string(kWidgets) + "/a";
  EXPECT_EQ(server_.patch(path, R"({"status":{"ready":9}})")->json()["status"], Json());
  const Json status = server_.patch(path + "/status", R"({"status":{"ready":2}})")->json();
  EXPECT_EQ(status["status"]["ready"], Json(2));
  EXPECT_EQ(status["metadata"]["generation"], Json(1));
  EXPECT_EQ(server_.patch(path, R"({"spec":{"size":4}})")->json()["metadata"]["generation"],
            Json(2));
}

TEST_F(CustomKinds, AreScaled) {
  define(widget_definition());
  make(widget("a"));
  const std::string path = std::string(kWidgets) + "/a";
  const Json scale = get(path + "/scale");
  EXPECT_EQ(scale["kind"], Json("Scale"));
  EXPECT_EQ(scale["spec"]["replicas"], Json(3));
  EXPECT_EQ(
      server_.patch(path + "/scale", R"({"spec":{"replicas":7}})")->json()["spec"]["replicas"],
      Json(7));
  EXPECT_EQ(get(path)["spec"]["size"], Json(7));
  EXPECT_EQ(causes(server_.patch(path + "/scale", R"({"spec":{"replicas":-1}})")->json()),
            std::vector<std::string>{"FieldValueInvalid spec.replicas"});
}

TEST_F(CustomKinds, AreOneObjectInAllVersions) {
  define(widget_definition());
  make(widget("a"));
  const auto sink = server_.call("GET", "/apis/example.com/v1beta1/namespaces/default/widgets/a");
  EXPECT_EQ(sink->json()["apiVersion"], Json("example.com/v1beta1"));
  EXPECT_EQ(sink->answer.headers.get("Warning"),
            "299 - \"example.com/v1beta1 Widget is deprecated\"");
}

TEST_F(CustomKinds, AreShownInColumns) {
  define(widget_definition());
  make(widget("a"));
  const auto sink = server_.call("GET", kWidgets, {}, kAdmin,
                                 {{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"}});
  EXPECT_EQ(sink->json()["columnDefinitions"][1]["name"], Json("Size"));
  EXPECT_EQ(sink->json()["rows"][0]["cells"], Json::array({"a", 3, "0s"}));
}

TEST_F(CustomKinds, AreSelectedByTheFieldsThatTheirDefinitionNames) {
  define(widget_definition());
  make(widget("a", R"({"size":1,"color":"blue"})"));
  make(widget("b"));
  const Json list = get(std::string(kWidgets) + "?fieldSelector=spec.color%3Dblue");
  ASSERT_EQ(list["items"].size(), 1U);
  EXPECT_EQ(list["items"][0]["metadata"]["name"], Json("a"));
  get(std::string(kWidgets) + "?fieldSelector=spec.size%3D1", 400);
}

TEST_F(CustomKinds, AreAppliedByItemsOfTheirLists) {
  define(widget_definition());
  const std::string path = std::string(kWidgets) + "/a?fieldManager=";
  const auto apply = [&](const std::string& manager, const std::string& parts) {
    return server_.patch(path + manager,
                         R"({"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a"},
                             "spec":{"size":1,"parts":)" +
                             parts + "}}",
                         kAdmin, "application/apply-patch+yaml");
  };
  ASSERT_EQ(apply("one", R"([{"name":"x","count":5}])")->answer.status, 201);
  const auto both = apply("two", R"([{"name":"y","count":6}])");
  ASSERT_EQ(both->answer.status, 200) << both->body;
  EXPECT_EQ(both->json()["spec"]["parts"].size(), 2U);
  EXPECT_EQ(apply("two", R"([{"name":"x","count":6}])")->answer.status, 409);
}

TEST_F(CustomKinds, AreNotMergedStrategically) {
  define(widget_definition());
  make(widget("a"));
  EXPECT_EQ(server_
                .patch(std::string(kWidgets) + "/a", "{}", kAdmin,
                       "application/strategic-merge-patch+json")
                ->answer.status,
            415);
}

TEST_F(CustomKinds, GoWithTheirDefinition) {
  define(widget_definition());
  make(widget("a"));
  make(widget("held", R"({"size":1})", R"(,"finalizers":["example.com/hold"])"));
  const auto watch = server_.send("GET", std::string(kWidgets) + "?watch=true");
  const std::string definition = std::string(kDefinitions) + "/widgets.example.com";
  EXPECT_EQ(server_.call("DELETE", definition)->answer.status, 200);
  server_.run(base::Duration::seconds(1));
  EXPECT_EQ(get(kWidgets)["items"].size(), 1U) << "the one with a finalizer waits";
  EXPECT_EQ(server_.call("POST", kWidgets, widget("b"))->answer.status, 405);
  EXPECT_TRUE(watch->has_ended) << "the kind has changed";
  EXPECT_EQ(get(definition)["status"]["conditions"][2]["reason"],
            Json("InstanceDeletionInProgress"));
  EXPECT_EQ(server_.patch(std::string(kWidgets) + "/held", R"({"metadata":{"finalizers":null}})")
                ->answer.status,
            405)
      << "nothing is written to what goes";
}

TEST_F(CustomKinds, GoWithTheirNamespace) {
  define(widget_definition());
  server_.create("/api/v1/namespaces", R"({"metadata":{"name":"team"}})");
  const std::string widgets = "/apis/example.com/v1/namespaces/team/widgets";
  server_.create(widgets, widget("a").dump());
  server_.create(widgets,
                 widget("held", R"({"size":1})", R"(,"finalizers":["example.com/hold"])").dump());
  server_.call("DELETE", "/api/v1/namespaces/team");
  server_.run(base::Duration::seconds(1));
  EXPECT_EQ(get(widgets)["items"].size(), 1U);
  const Json done = Json::parse(R"({"metadata":{"name":"team"},"spec":{}})").value();
  EXPECT_EQ(server_.call("PUT", "/api/v1/namespaces/team/finalize", done)->answer.status, 409);
  server_.patch(widgets + "/held", R"({"metadata":{"finalizers":null}})");
  EXPECT_EQ(server_.call("PUT", "/api/v1/namespaces/team/finalize", done)->answer.status, 200);
  get("/api/v1/namespaces/team", 404);
}

TEST_F(CustomKinds, WaitForNamesThatAreTaken) {
  define(widget_definition());
  Json other = widget_definition();
  other.make("metadata").set("name", "gadgets.example.com");
  other.make("spec.names").set("plural", "gadgets");
  other.make("spec.names").set("singular", "gadget");
  const Json made = server_.call("POST", kDefinitions, other)->json();
  EXPECT_EQ(made["status"]["conditions"][0]["reason"], Json("ListKindConflict"));
  EXPECT_EQ(made["status"]["conditions"][1]["status"], Json("False"));
  get("/apis/example.com/v1/gadgets", 404);
  server_.call("DELETE", std::string(kDefinitions) + "/widgets.example.com");
  server_.run(base::Duration::seconds(1));
  EXPECT_EQ(get("/apis/example.com/v1/gadgets")["kind"], Json("WidgetList"));
}

TEST_F(CustomKinds, DoNotReplaceWhatIsBuiltIn) {
  Json definition = widget_definition();
  definition.make("metadata").set("name", "jobsets.jobset.x-k8s.io");
  definition.make("spec").set("group", "jobset.x-k8s.io");
  definition.make("spec").set("names", Json::object({{"plural", "jobsets"}, {"kind", "JobSet"}}));
  define(definition);
  EXPECT_EQ(get("/apis/jobset.x-k8s.io")["versions"].size(), 1U);
  const auto bad =
      server_.call("POST", "/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets",
                   Json::parse(R"({"metadata":{"name":"a"},"spec":{"size":1}})").value());
  EXPECT_EQ(bad->answer.headers.get("Warning"), "299 - \"unknown field \\\"spec.size\\\"\"");
  server_.call("DELETE", std::string(kDefinitions) + "/jobsets.jobset.x-k8s.io");
  server_.run(base::Duration::seconds(1));
  get(std::string(kDefinitions) + "/jobsets.jobset.x-k8s.io", 404);
  get("/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets");
}

TEST_F(CustomKinds, SayThatTheirRulesInCelAreNotEvaluated) {
  const auto sink =
      server_.call("POST", kDefinitions,
                   widget_definition(R"(,"rule":{"type":"string","x-kubernetes-validations":[
                             {"rule":"self == oldSelf"}]})"));
  ASSERT_EQ(sink->answer.status, 201) << sink->body;
  EXPECT_EQ(sink->answer.headers.get("Warning"),
            "299 - \"2 rules in x-kubernetes-validations (CEL) are not evaluated: objects of kind "
            "Widget that break them are accepted\"");
}

TEST_F(CustomKinds, AreRefusedWhereTheirDefinitionIsBad) {
  Json definition = widget_definition(R"(,"untyped":{"description":"x"},"ref":{"type":"object",
      "$ref":"#/x"},"list":{"type":"array"})");
  definition.make("spec").set("scope", "Galaxy");
  definition.make("spec.names").set("plural", "gizmos");
  const auto sink = server_.call("POST", kDefinitions, definition);
  EXPECT_EQ(sink->answer.status, 422);
  const std::string at = "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties";
  std::vector<std::string> found = causes(sink->json());
  for (const std::string& wanted :
       {std::string("FieldValueInvalid metadata.name"),
        std::string("FieldValueNotSupported spec.scope"),
        "FieldValueRequired " + at + "[untyped].type", "FieldValueForbidden " + at + "[ref].$ref",
        "FieldValueRequired " + at + "[list].items"}) {
    EXPECT_NE(std::find(found.begin(), found.end(), wanted), found.end()) << wanted << sink->body;
  }
}

}  // namespace
}  // namespace pelton::apiserver
