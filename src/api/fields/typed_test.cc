// SPDX-License-Identifier: Apache-2.0
// Objects as fields: what is one field, what differs, what a merge keeps and a removal leaves.
#include "api/fields/typed.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <set>

#include "api/registry.h"

namespace pelton::api::fields {
namespace {

using base::Json;

const TypeInfo& type_of(const char* plural, const char* group = "") {
  return *Registry::builtin().find(group, "v1", plural)->type;
}
Json parse(const std::string& text) {
  auto value = Json::parse(text);
  EXPECT_TRUE(value.ok()) << text;
  return value.ok() ? *value : Json();
}
std::string fields(const char* plural, const std::string& text) {
  return fields_of(type_of(plural), parse(text)).to_json().dump();
}

TEST(Fields, TheTableSaysWhatIsOwnedAsAWhole) {
  struct Case {
    const char* plural;
    const char* object;
    const char* fields;
  };
  const Case cases[] = {
      // Entries of a map, a set, and an atomic selector.
      {"services",
       R"({"metadata":{"labels":{"a":"b"},"finalizers":["x/y"]},"spec":{"selector":{"app":"x"}}})",
       R"({"f:metadata":{"f:finalizers":{"v:\"x/y\"":{}},"f:labels":{"f:a":{}}},)"
       R"("f:spec":{"f:selector":{}}})"},
      // Items by key, an atomic list in them, an atomic structure.
      {"pods",
       R"({"spec":{"containers":[{"name":"c","args":["a","b"],"env":[{"name":"e","valueFrom":)"
       R"({"secretKeyRef":{"name":"s","key":"k"}}}]}]}})",
       R"j({"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:args":{},"f:env":)j"
       R"j({"k:{\"name\":\"e\"}":{".":{},"f:name":{},"f:valueFrom":{"f:secretKeyRef":{}}}},)j"
       R"j("f:name":{}}}}})j"},
      // A key that is left out has its default; an empty object is a field, an empty list is none.
      {"pods",
       R"({"spec":{"containers":[{"name":"c","ports":[{"containerPort":80}],"resources":{},)"
       R"("env":[]}]}})",
       R"j({"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:name":{},"f:ports":)j"
       R"j({"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}},)j"
       R"j("f:resources":{}}}}})j"},
      {"configmaps", R"({"data":{"a":"1"}})", R"({"f:data":{"f:a":{}}})"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(fields(c.plural, c.object), Json::parse(c.fields).value().dump()) << c.object;
  }
}

TEST(Fields, AComparisonNamesLeavesAndWhatCameOrWentAsAWhole) {
  const Comparison difference =
      compare(type_of("pods"),
              parse(R"({"metadata":{"labels":{"a":"1","b":"2"}},"spec":{"containers":[{"name":"c",)"
                    R"("image":"x","args":["1"]}]}})"),
              parse(R"({"metadata":{"labels":{"a":"1","b":"3"}},"spec":{"containers":[{"name":"c",)"
                    R"("image":"x","args":["2"]},{"name":"d"}],"hostname":"h"}})"));
  EXPECT_EQ(difference.modified.to_json().dump(),
            R"j({"f:metadata":{"f:labels":{"f:b":{}}},"f:spec":{"f:containers":)j"
            R"j({"k:{\"name\":\"c\"}":{"f:args":{}}}}})j");
  EXPECT_EQ(difference.added.to_json().dump(),
            R"j({"f:spec":{"f:containers":{"k:{\"name\":\"d\"}":{".":{},"f:name":{}}},)j"
            R"j("f:hostname":{}}})j");
  EXPECT_TRUE(difference.removed.empty());
}

TEST(Fields, ListsWithAKeyTwiceAreComparedAsValues) {
  const Json twice = parse(
      R"({"spec":{"containers":[{"name":"c","env":[{"name":"e","value":"1"},{"name":"e","value":"2"}]}]}})");
  Json other = twice;
  EXPECT_TRUE(compare(type_of("pods"), twice, other).modified.empty());
  other = parse(R"({"spec":{"containers":[{"name":"c","env":[{"name":"e","value":"1"}]}]}})");
  EXPECT_TRUE(compare(type_of("pods"), twice, other)
                  .modified.has({"f:spec", "f:containers", R"(k:{"name":"c"})", "f:env",
                                 R"(k:{"name":"e"})"}));
}

std::string names(const Json& pod) {
  std::string out;
  for (const Json& container : pod["spec"]["containers"].items()) {
    out += container["name"].as_string();
  }
  return out;
}
Json pod_of(const std::string& containers) {
  Json list = Json::array();
  for (char c : containers) list.push_back(Json::object({{"name", std::string(1, c)}}));
  return Json::object({{"spec", Json::object({{"containers", list}})}});
}

TEST(Fields, AMergedListHasConfigsOrderAndLivesOthersInBetween) {
  // live, config, merged: as upstream's merge does it.
  const char* cases[][3] = {{"ab", "ab", "ab"},     {"abc", "ca", "bca"},     {"ab", "na", "nab"},
                            {"abc", "anc", "abnc"}, {"", "ab", "ab"},         {"ab", "", "ab"},
                            {"abc", "cba", "cba"},  {"xaybz", "ab", "xaybz"}, {"ab", "bxa", "bxa"}};
  for (const auto& c : cases) {
    EXPECT_EQ(names(merge(type_of("pods"), pod_of(c[0]), pod_of(c[1]))), c[2]) << c[0] << c[1];
  }
}

TEST(Fields, RemovalTakesWhatItEmptiesAndLeavesAtomicThingsWhole) {
  const TypeInfo& type = type_of("pods");
  const Json pod = parse(
      R"({"metadata":{"labels":{"a":"1"},"name":"p"},"spec":{"containers":[{"name":"c","args":)"
      R"(["1"],"image":"i"},{"name":"d"}]}})");
  const auto set = [](const std::string& text) { return FieldSet::from_json(parse(text)).value(); };
  EXPECT_EQ(remove_fields(type, pod, set(R"({"f:metadata":{"f:labels":{"f:a":{}}}})"))
                .at("metadata")
                .dump(),
            R"({"name":"p"})");
  EXPECT_EQ(remove_fields(type, pod,
                          set(R"j({"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{"f:image":{}},)j"
                              R"j("k:{\"name\":\"d\"}":{}}}})j"))
                .at("spec")
                .dump(),
            R"({"containers":[{"args":["1"],"name":"c"}]})");
}

TEST(Fields, NamesWhatCannotBeApplied) {
  const auto faults = find_faults(
      type_of("pods"),
      parse(
          R"({"spec":{"containers":[{"name":"c","foo":1},{"name":"c"},{"image":"x"},{"image":"x"}],"bar":{}},)"
          R"("metadata":{"finalizers":["a","a"]}})"));
  EXPECT_EQ(faults, (std::vector<std::string>{
                        ".metadata.finalizers: duplicate entries for key [=\"a\"]",
                        ".spec.bar: field not declared in schema",
                        ".spec.containers[name=\"c\"].foo: field not declared in schema",
                        ".spec.containers: duplicate entries for key [name=\"c\"]",
                        ".spec.containers: duplicate entries for key [name=\"\"]"}));
  EXPECT_EQ(
      find_faults(*Registry::builtin().find("jobset.x-k8s.io", "v1alpha2", "jobsets")->type,
                  parse(R"({"spec":{"replicatedJobs":[{"replicas":1}]}})")),
      (std::vector<std::string>{
          ".spec.replicatedJobs: element 0: associative list with keys has an element that omits "
          "all key fields [\"name\"] (and doesn't have default values for any key fields)"}));
}

std::set<std::string> some_names() {
  const auto names =
      *rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>("a", "b", "c"));
  return {names.begin(), names.end()};
}

/// Pods of a few fields of every sort.
Json some_pod() {
  Json pod = Json::object();
  const auto text = rc::gen::element<std::string>("1", "2");
  for (const std::string& key : some_names()) {
    pod.make("metadata.labels").set(key, *text);
  }
  for (const std::string& key : some_names()) {
    pod.make("metadata.finalizers").push_back(key);
  }
  for (const std::string& key : some_names()) {
    Json container = Json::object({{"name", key}});
    if (*rc::gen::arbitrary<bool>()) container.set("image", *text);
    if (*rc::gen::arbitrary<bool>()) container.set("args", Json::array({*text}));
    pod.make("spec.containers").push_back(std::move(container));
  }
  if (*rc::gen::arbitrary<bool>()) pod.make("spec.nodeSelector").set("x", *text);
  return pod;
}

TEST(Fields, MergeAndRemovalObeyTheComparison) {
  EXPECT_TRUE(rc::check([] {
    const TypeInfo& type = type_of("pods");
    const Json live = some_pod(), config = some_pod();
    const Json merged = merge(type, live, config);
    // Nothing of live goes by a merge, and all of config is there.
    RC_ASSERT(compare(type, live, merged).removed.empty());
    const Comparison left = compare(type, config, merged);
    RC_ASSERT(left.modified.empty() && left.removed.empty());
    RC_ASSERT(merge(type, merged, config) == merged);
    RC_ASSERT(fields_of(type, merged) == unite(fields_of(type, live), fields_of(type, config)));
    // A comparison there is the other way round back.
    const Comparison there = compare(type, live, config), back = compare(type, config, live);
    RC_ASSERT(there.added == back.removed && there.removed == back.added);
    RC_ASSERT(there.modified == back.modified);
    // What is removed is gone, and the rest is as it was.
    const FieldSet gone = fields_of(type, config);
    const Json cut = remove_fields(type, live, gone);
    RC_ASSERT(intersect(fields_of(type, cut), gone).empty());
    RC_ASSERT(compare(type, live, cut).added.empty() && compare(type, live, cut).modified.empty());
  }));
}

}  // namespace
}  // namespace pelton::api::fields
