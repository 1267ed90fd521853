// SPDX-License-Identifier: Apache-2.0
#include "api/patch.h"

#include <gtest/gtest.h>

namespace pelton::api {
namespace {

using base::Json;

Json json(std::string_view text) {
  auto value = Json::parse(text);
  EXPECT_TRUE(value.ok()) << text;
  return value.ok() ? *value : Json();
}

TEST(MergePatch, FollowsTheRfc) {
  const char* kCases[][3] = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"(["a"])", R"({"a":1})", R"({"a":1})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
  };
  for (const auto& c : kCases) EXPECT_EQ(merge_patch(json(c[0]), json(c[1])).dump(), c[2]);
}

TEST(MergePatch, CanBeMadeFromTwoObjects) {
  const Json before = json(R"({"a":{"b":1,"c":2},"d":[1],"e":"x"})");
  const Json after = json(R"({"a":{"b":1,"c":3},"d":[1,2],"f":{}})");
  const Json patch = make_merge_patch(before, after);
  EXPECT_EQ(patch.dump(), R"({"a":{"c":3},"d":[1,2],"e":null,"f":{}})");
  EXPECT_EQ(merge_patch(before, patch), after);
  EXPECT_EQ(make_merge_patch(after, after).dump(), "{}");
}

TEST(JsonPatch, AppliesEveryOperation) {
  const char* kCases[][3] = {
      {R"({"a":1})", R"([{"op":"add","path":"/b","value":2}])", R"({"a":1,"b":2})"},
      {R"({"a":[1,3]})", R"([{"op":"add","path":"/a/1","value":2}])", R"({"a":[1,2,3]})"},
      {R"({"a":[1]})", R"([{"op":"add","path":"/a/-","value":2}])", R"({"a":[1,2]})"},
      {R"({"a":1})", R"([{"op":"remove","path":"/a"}])", R"({})"},
      {R"({"a":[1,2]})", R"([{"op":"remove","path":"/a/0"}])", R"({"a":[2]})"},
      {R"({"a":1})", R"([{"op":"replace","path":"/a","value":{"b":2}}])", R"({"a":{"b":2}})"},
      {R"({"a":{"b":1},"c":{}})", R"([{"op":"move","from":"/a/b","path":"/c/d"}])",
       R"({"a":{},"c":{"d":1}})"},
      {R"({"a":[1]})", R"([{"op":"copy","from":"/a/0","path":"/b"}])", R"({"a":[1],"b":1})"},
      {R"({"a":1})", R"([{"op":"test","path":"/a","value":1},{"op":"remove","path":"/a"}])",
       R"({})"},
      {R"({"a/b":{"m~n":1}})", R"([{"op":"replace","path":"/a~1b/m~0n","value":2}])",
       R"({"a/b":{"m~n":2}})"},
      {R"({"a":1})", R"([{"op":"add","path":"","value":[1]}])", R"([1])"},
      {R"({"":1})", R"([{"op":"replace","path":"/","value":2}])", R"({"":2})"},
  };
  for (const auto& c : kCases) {
    auto result = json_patch(json(c[0]), json(c[1]));
    ASSERT_TRUE(result.ok()) << c[1] << ": " << result.status().to_string();
    EXPECT_EQ(result->dump(), c[2]) << c[1];
  }
}

TEST(JsonPatch, RefusesWhatDoesNotFit) {
  const char* kCases[][2] = {
      {R"([{"op":"remove","path":"/x"}])", "Invalid"},
      {R"([{"op":"replace","path":"/x","value":1}])", "Invalid"},
      {R"([{"op":"add","path":"/x/y","value":1}])", "Invalid"},
      {R"([{"op":"add","path":"/list/5","value":1}])", "Invalid"},
      {R"([{"op":"add","path":"/list/01","value":1}])", "Invalid"},
      {R"([{"op":"remove","path":"/list/-"}])", "Invalid"},
      {R"([{"op":"test","path":"/a","value":2}])", "Invalid"},
      {R"([{"op":"move","from":"/o","path":"/o/p"}])", "Invalid"},
      {R"([{"op":"remove","path":""}])", "Invalid"},
      {R"([{"op":"add","path":"/b"}])", "BadRequest"},
      {R"([{"op":"add","path":"b","value":1}])", "BadRequest"},
      {R"([{"op":"frob","path":"/a"}])", "BadRequest"},
      {R"({"a":1})", "BadRequest"},
      {R"(["x"])", "BadRequest"},
  };
  for (const auto& c : kCases) {
    auto result = json_patch(json(R"({"a":1,"list":[1,2],"o":{}})"), json(c[0]));
    ASSERT_FALSE(result.ok()) << c[0];
    EXPECT_EQ(result.error().reason(), c[1]) << c[0];
  }
}

class StrategicMerge : public testing::Test {
 protected:
  static const TypeInfo& pod() { return *find_type("io.k8s.api.core.v1.Pod"); }
  static std::string apply(std::string_view object, std::string_view patch) {
    auto result = strategic_merge_patch(json(object), json(patch), pod());
    return result.ok() ? result->dump() : result.error().to_string();
  }
};

TEST_F(StrategicMerge, MergesListsByTheirKey) {
  EXPECT_EQ(apply(R"({"spec":{"containers":[{"name":"a","image":"x"},{"name":"b","image":"y"}]}})",
                  R"({"spec":{"containers":[{"name":"b","image":"z"},{"name":"c","image":"w"}]}})"),
            R"({"spec":{"containers":[{"image":"x","name":"a"},{"image":"z","name":"b"},)"
            R"({"image":"w","name":"c"}]}})");
  EXPECT_EQ(apply(R"({"spec":{"containers":[{"name":"a","env":[{"name":"X","value":"1"}]}]}})",
                  R"({"spec":{"containers":[{"name":"a","env":[{"name":"Y","value":"2"}]}]}})"),
            R"({"spec":{"containers":[{"env":[{"name":"Y","value":"2"},{"name":"X","value":"1"}],)"
            R"("name":"a"}]}})");
}

TEST_F(StrategicMerge, ReplacesAtomicListsAndMergesMaps) {
  EXPECT_EQ(apply(R"({"spec":{"containers":[{"name":"a","args":["1","2"]}]}})",
                  R"({"spec":{"containers":[{"name":"a","args":["3"]}]}})"),
            R"({"spec":{"containers":[{"args":["3"],"name":"a"}]}})");
  EXPECT_EQ(apply(R"({"metadata":{"labels":{"a":"1","b":"2"}}})",
                  R"({"metadata":{"labels":{"a":null,"c":"3"}}})"),
            R"({"metadata":{"labels":{"b":"2","c":"3"}}})");
}

TEST_F(StrategicMerge, ObeysDirectives) {
  EXPECT_EQ(apply(R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
                  R"({"spec":{"containers":[{"name":"a","$patch":"delete"}]}})"),
            R"({"spec":{"containers":[{"name":"b"}]}})");
  EXPECT_EQ(apply(R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
                  R"({"spec":{"containers":[{"$patch":"replace"},{"name":"c"}]}})"),
            R"({"spec":{"containers":[{"name":"c"}]}})");
  EXPECT_EQ(apply(R"({"spec":{"nodeSelector":{"a":"1"}}})",
                  R"({"spec":{"nodeSelector":{"$patch":"replace","b":"2"}}})"),
            R"({"spec":{"nodeSelector":{"b":"2"}}})");
  EXPECT_EQ(apply(R"({"spec":{"nodeSelector":{"a":"1"}}})",
                  R"({"spec":{"nodeSelector":{"$patch":"delete"}}})"),
            R"({"spec":{}})");
  EXPECT_EQ(apply(R"({"spec":{"volumes":[{"name":"v","emptyDir":{}}]}})",
                  R"({"spec":{"volumes":[{"name":"v","$retainKeys":["name","hostPath"],)"
                  R"("hostPath":{"path":"/x"}}]}})"),
            R"({"spec":{"volumes":[{"hostPath":{"path":"/x"},"name":"v"}]}})");
}

TEST_F(StrategicMerge, EditsPrimitiveListsWithMergeStrategy) {
  EXPECT_EQ(
      apply(R"({"metadata":{"finalizers":["a","b"]}})",
            R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["a"],"finalizers":["c"]}})"),
      R"({"metadata":{"finalizers":["c","b"]}})");
  EXPECT_EQ(
      apply(R"({"metadata":{"finalizers":["a","b"]}})",
            R"({"metadata":{"$setElementOrder/finalizers":["c","b","a"],"finalizers":["c"]}})"),
      R"({"metadata":{"finalizers":["c","b","a"]}})");
}

TEST_F(StrategicMerge, OrdersAsKubectlDoes) {
  EXPECT_EQ(
      apply(R"({"spec":{"containers":[{"name":"a"},{"name":"server"},{"name":"b"}]}})",
            R"({"spec":{"$setElementOrder/containers":[{"name":"c"},{"name":"b"},{"name":"a"}],)"
            R"("containers":[{"name":"c"}]}})"),
      R"({"spec":{"containers":[{"name":"c"},{"name":"server"},{"name":"b"},{"name":"a"}]}})");
  EXPECT_EQ(apply(R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
                  R"({"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}]}})"),
            R"({"spec":{"containers":[{"name":"b"},{"name":"a"}]}})");
  EXPECT_EQ(
      apply(R"({"spec":{"volumes":[{"name":"w"}]}})", R"({"spec":{"volumes":[{"name":"v"}]}})"),
      R"({"spec":{"volumes":[{"name":"v"},{"name":"w"}]}})")
      << "what the patch brings comes before what it does not name";
}

TEST_F(StrategicMerge, NamesWhatIsWrong) {
  EXPECT_EQ(
      apply(R"({"spec":{"containers":[{"name":"a"}]}})",
            R"({"spec":{"containers":[{"image":"x"}]}})"),
      R"(BadRequest: map: {"image":"x"} does not contain declared merge key: name (spec.containers))");
  EXPECT_NE(apply("{}", R"({"$patch":"frob"})").find("Unknown patch type"), std::string::npos);
  EXPECT_NE(apply("{}", R"({"$foo":1})").find("unknown directive"), std::string::npos);
  EXPECT_NE(apply("{}", "[]").find("BadRequest"), std::string::npos);
}

}  // namespace
}  // namespace pelton::api
