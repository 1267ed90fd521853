// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "api/custom/check_definition.h"
#include "api/custom/check_object.h"
#include "api/custom/definition.h"
#include "api/custom/json_path.h"
#include "api/custom/schema.h"
#include "api/custom/shape.h"
#include "api/scale.h"

namespace pelton::api::custom {
namespace {

using base::Json;

Json parse(const std::string& text) {
  auto value = Json::parse(text);
  EXPECT_TRUE(value.ok()) << text;
  return value.ok() ? *value : Json();
}

std::string pruned(const std::string& schema, const std::string& object) {
  Json value = parse(object);
  std::vector<std::string> unknown;
  prune(*compile_schema(parse(schema), true), value, unknown);
  std::string out = value.dump();
  for (const std::string& path : unknown) out += " " + path;
  return out;
}

std::string defaulted(const std::string& schema, const std::string& object) {
  Json value = parse(object);
  fill_defaults(*compile_schema(parse(schema), true), value);
  return value.dump();
}

/// "REASON field: message" of each finding.
std::string found(const std::string& schema, const std::string& object) {
  Findings findings;
  check_value(findings, *compile_schema(parse(schema), true), "", parse(object), nullptr);
  std::string out;
  for (const base::Cause& cause : findings.causes()) {
    if (!out.empty()) out += "; ";
    out += cause.reason + " " + cause.field + ": " + cause.message;
  }
  return out;
}

TEST(Prune, TakesAwayWhatTheSchemaDoesNotKnow) {
  const std::string schema =
      R"({"type":"object","properties":{"a":{"type":"array","items":{"type":"object",
          "properties":{"b":{"type":"string"}}}},
          "any":{"type":"object","x-kubernetes-preserve-unknown-fields":true,
                 "properties":{"known":{"type":"object"}}},
          "map":{"type":"object","additionalProperties":{"type":"object",
                 "properties":{"c":{"type":"string"}}}}}})";
  EXPECT_EQ(pruned(schema, R"({"a":[{"b":"x","d":1}],"e":2})"), R"({"a":[{"b":"x"}]} a[0].d e)");
  EXPECT_EQ(pruned(schema, R"({"any":{"x":{"y":1},"known":{"z":1}}})"),
            R"({"any":{"known":{},"x":{"y":1}}} any.known.z)");
  EXPECT_EQ(pruned(schema, R"({"map":{"k":{"c":"x","d":1}}})"),
            R"({"map":{"k":{"c":"x"}}} map.k.d)");
  EXPECT_EQ(pruned(schema, R"({"kind":"A","metadata":{"x":1}})"),
            R"({"kind":"A","metadata":{"x":1}})")
      << "what every resource has is not the schema's business";
}

TEST(Defaults, FillWhatIsAbsentOrNullWhereNullMayNotBe) {
  const std::string schema =
      R"({"type":"object","properties":{"a":{"type":"object","default":{},"properties":{
            "b":{"type":"string","default":"x"},"c":{"type":"string"},
            "n":{"type":"string","nullable":true,"default":"y"}}},
          "l":{"type":"array","items":{"type":"object","properties":{
            "d":{"type":"integer","default":7}}}}}})";
  EXPECT_EQ(defaulted(schema, "{}"), R"({"a":{"b":"x","n":"y"}})");
  EXPECT_EQ(defaulted(schema, R"({"a":{"b":null,"c":null,"n":null},"l":[{},{"d":1}]})"),
            R"({"a":{"b":"x","n":null},"l":[{"d":7},{"d":1}]})");
}

TEST(CheckValue, NamesFieldReasonAndWhatIsWrong) {
  const std::string schema =
      R"({"type":"object","required":["must"],"properties":{
          "must":{"type":"string","maxLength":3,"pattern":"^a"},
          "number":{"type":"number","maximum":2.5,"multipleOf":0.5},
          "when":{"type":"string","format":"date-time"},
          "port":{"x-kubernetes-int-or-string":true},
          "list":{"type":"array","minItems":1,"maxItems":2,"items":{"type":"integer"}},
          "map":{"type":"object","maxProperties":1,"additionalProperties":{"type":"boolean"}}}})";
  EXPECT_EQ(found(schema, R"({"must":"abc","number":2.5,"when":"2026-01-01T00:00:00Z","port":"x",
                              "list":[1.0],"map":{"k":true}})"),
            "");
  EXPECT_EQ(found(schema, "{}"), "FieldValueRequired must: Required value");
  EXPECT_EQ(found(schema, R"({"must":"bcde"})"),
            "FieldValueTooLong must: Too long: may not be more than 3 bytes; FieldValueInvalid "
            "must: Invalid value: \"bcde\": must in body should match '^a'");
  EXPECT_EQ(found(schema, R"({"must":"a","number":3})"),
            "FieldValueInvalid number: Invalid value: 3: number in body should be less than or "
            "equal to 2.5");
  EXPECT_EQ(found(schema, R"({"must":null})"),
            "FieldValueTypeInvalid must: Invalid value: \"null\": must in body must be of type "
            "string: \"null\"");
  EXPECT_EQ(found(schema, R"({"must":"a","port":true})"),
            "FieldValueTypeInvalid port: Invalid value: true: port in body must be of type "
            "integer,string: \"boolean\"");
  EXPECT_EQ(found(schema, R"({"must":"a","when":"noon","list":[],"map":{"a":1,"b":true}})"),
            "FieldValueInvalid list: Invalid value: 0: list in body should have at least 1 items; "
            "FieldValueTooMany map: Too many: 2: must have at most 1 items; FieldValueTypeInvalid "
            "map.a: Invalid value: 1: map.a in body must be of type boolean: \"integer\"; "
            "FieldValueInvalid when: Invalid value: \"noon\": when in body must be of type "
            "date-time: \"noon\"");
}

TEST(CheckValue, CountsAlternatives) {
  const std::string schema =
      R"({"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},
          "oneOf":[{"required":["a"]},{"required":["b"]}]})";
  EXPECT_EQ(found(schema, R"({"a":"x"})"), "");
  EXPECT_EQ(found(schema, R"({"a":"x","b":"y"})").substr(0, 33),
            "FieldValueInvalid <nil>: Invalid ");
  EXPECT_NE(found(schema, "{}").find("Found none valid"), std::string::npos);
}

TEST(Formats, AreThoseThatKubernetesChecks) {
  for (const auto& [format, good, bad] :
       {std::tuple<const char*, const char*, const char*>{"date", "2026-02-28", "2026-02-30"},
        {"duration", "1h30m", "soon"},
        {"ipv4", "10.0.0.1", "::1"},
        {"ipv6", "::1", "10.0.0.1"},
        {"cidr", "10.0.0.0/8", "10.0.0.0/33"},
        {"byte", "YQ==", "?"},
        {"uuid", "01234567-89ab-cdef-0123-456789abcdef", "0123"},
        {"hostname", "a.example.com", "-a"},
        {"uri", "https://example.com/x", "not a uri"},
        {"mac", "00:11:22:33:44:55", "00:11"}}) {
    EXPECT_TRUE(has_format(format, good)) << format;
    EXPECT_FALSE(has_format(format, bad)) << format;
  }
  EXPECT_TRUE(has_format("int-or-whatever", "x")) << "unknown formats check nothing";
}

TEST(JsonPath, FindsWhatColumnsShow) {
  const Json object = parse(
      R"({"spec":{"a.b":1,"list":[{"x":1},{"x":2}]},
          "status":{"conditions":[{"type":"Ready","status":"True"},
                                  {"type":"Other","status":"No"}]}})");
  const auto show = [&object](const std::string& path) {
    auto parsed = JsonPath::parse(path);
    if (!parsed.ok()) return std::string("bad");
    std::string out;
    for (const Json* value : parsed->find(object)) out += value->dump() + " ";
    return out;
  };
  EXPECT_EQ(show(".spec['a.b']"), "1 ");
  EXPECT_EQ(show(R"(.spec.a\.b)"), "1 ");
  EXPECT_EQ(show(".spec.list[-1].x"), "2 ");
  EXPECT_EQ(show(".spec.list[*].x"), "1 2 ");
  EXPECT_EQ(show(R"(.status.conditions[?(@.type=="Ready")].status)"), "\"True\" ");
  EXPECT_EQ(show(R"(.status.conditions[?(@.type == 'None')].status)"), "");
  EXPECT_EQ(show(".none.at.all"), "");
  for (const char* bad : {"", "spec", ".a..b", ".a[", ".a[x]", ".a[?(x)]"}) {
    EXPECT_EQ(show(bad), "bad") << bad;
  }
}

TEST(Versions, ComeInKubernetesOrder) {
  std::vector<std::string> names = {"v1alpha1", "foo", "v10", "v1beta2", "v2", "v1beta10", "v1"};
  std::sort(names.begin(), names.end(),
            [](const auto& a, const auto& b) { return comes_before(a, b); });
  EXPECT_EQ(names, (std::vector<std::string>{"v10", "v2", "v1", "v1beta10", "v1beta2", "v1alpha1",
                                             "foo"}));
}

std::vector<std::string> schema_findings(const std::string& schema) {
  Findings findings;
  check_structural(findings, "s", parse(schema));
  check_schema(findings, "s", parse(schema));
  std::vector<std::string> out;
  for (const base::Cause& cause : findings.causes())
    out.push_back(cause.reason + " " + cause.field);
  return out;
}

TEST(CheckSchema, WantsStructure) {
  using Strings = std::vector<std::string>;
  EXPECT_EQ(schema_findings(R"({"type":"object","properties":{"p":{
              "x-kubernetes-int-or-string":true,
              "anyOf":[{"type":"integer"},{"type":"string"}]}}})"),
            Strings());
  EXPECT_EQ(schema_findings(R"({"properties":{}})"), Strings{"FieldValueRequired s.type"});
  EXPECT_EQ(schema_findings(R"({"type":"object","anyOf":[{"type":"object","properties":{
              "x":{"minimum":1}}}]})"),
            (Strings{"FieldValueForbidden s.anyOf[0].type", "FieldValueRequired s.properties[x]"}));
  EXPECT_EQ(schema_findings(R"({"type":"object","properties":{"metadata":{"type":"object",
              "properties":{"labels":{"type":"object"}}}}})"),
            Strings{"FieldValueForbidden s.properties[metadata]"});
  EXPECT_EQ(schema_findings(R"({"type":"object","properties":{"l":{"type":"array",
              "x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],
              "items":{"type":"object","properties":{"k":{"type":"string"}}}}}})"),
            Strings{"FieldValueRequired s.properties[l].items.properties[k].default"});
  EXPECT_EQ(schema_findings(R"({"type":"object","properties":{"d":{"type":"integer",
              "default":"x"}}})"),
            Strings{"FieldValueTypeInvalid s.properties[d].default"});
  EXPECT_EQ(schema_findings(R"({"type":"object","properties":{"d":{"type":"what"},
              "p":{"type":"string","pattern":"("}}})"),
            (Strings{"FieldValueNotSupported s.properties[d].type",
                     "FieldValueInvalid s.properties[p].pattern"}));
}

TEST(Scale, ReadsAndWritesReplicasWhereverTheyAre) {
  const ScalePaths paths{".spec.size", ".status.ready", ".status.selector"};
  const Json object = parse(R"({"metadata":{"name":"a","uid":"u"},"spec":{"size":2},
                                "status":{"ready":1,"selector":"app=a"}})");
  const Json scale = scale_of(object, paths);
  EXPECT_EQ(scale["status"], parse(R"({"replicas":1,"selector":"app=a"})"));
  const auto changed = with_scale(object, parse(R"({"spec":{"replicas":5}})"), paths);
  ASSERT_TRUE(changed.ok());
  EXPECT_EQ((*changed)["spec"]["size"], Json(5));
  EXPECT_FALSE(with_scale(object, parse(R"({"kind":"Pod"})"), paths).ok());
  EXPECT_FALSE(with_scale(object, parse(R"({"spec":{"replicas":"5"}})"), paths).ok());
}

}  // namespace
}  // namespace pelton::api::custom
