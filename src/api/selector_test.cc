// SPDX-License-Identifier: Apache-2.0
#include "api/selector.h"

#include <gtest/gtest.h>

namespace pelton::api {
namespace {

using base::Json;

Json json(std::string_view text) {
  return Json::parse(text).value();
}

TEST(LabelSelector, MatchesAsItsStringSays) {
  const Json labels = json(R"({"app":"web","tier":"a","size":"5","empty":""})");
  const std::pair<const char*, bool> kCases[] = {
      {"", true},
      {"app=web", true},
      {"app==web", true},
      {"app = web , tier=a", true},
      {"app!=web", false},
      {"other!=web", true},
      {"app in (web,db)", true},
      {"app in (db)", false},
      {"app notin (db, x)", true},
      {"other notin (db)", true},
      {"app", true},
      {"!app", false},
      {"!other", true},
      {"size>4", true},
      {"size>5", false},
      {"size<10", true},
      {"app>4", false},
      {"empty=", true},
      {"app=web,!tier", false},
      {"example.com/key=x", false},
  };
  for (const auto& [text, want] : kCases) {
    auto selector = LabelSelector::parse(text);
    ASSERT_TRUE(selector.ok()) << text << ": " << selector.status().to_string();
    EXPECT_EQ(selector->matches(labels), want) << text;
  }
}

TEST(LabelSelector, RefusesBadSyntaxAsBadRequest) {
  for (const char* text : {"a,,b", "=x", "a in", "a in (", "a in (b", "a=b c", "!a=b", "a!b",
                           "a=b,", "-a=b", "a=_b", "a>x", "a in b", "a/b/c=d", ",", "(a)"}) {
    auto selector = LabelSelector::parse(text);
    ASSERT_FALSE(selector.ok()) << text;
    EXPECT_EQ(selector.error().reason(), "BadRequest");
  }
  EXPECT_EQ(LabelSelector::parse("a=b=c").error().message(),
            "found '=', expected: ',' or 'end of string'");
  EXPECT_EQ(LabelSelector::parse("=x").error().message().find("unable to parse requirement: "), 0U);
}

TEST(LabelSelector, ReadsTheObjectForm) {
  auto selector = LabelSelector::from_object(json(R"({"matchLabels":{"a":"1"},"matchExpressions":[
      {"key":"b","operator":"In","values":["y","x"]},{"key":"c","operator":"DoesNotExist"}]})"));
  ASSERT_TRUE(selector.ok());
  EXPECT_EQ(selector->to_string(), "a=1,b in (x,y),!c");
  EXPECT_TRUE(selector->matches(json(R"({"a":"1","b":"x"})")));
  EXPECT_FALSE(selector->matches(json(R"({"a":"1","b":"x","c":""})")));
  EXPECT_TRUE(LabelSelector::from_object(json("{}"))->matches_everything());
  EXPECT_TRUE(LabelSelector::from_object(Json())->matches_nothing());
  EXPECT_FALSE(LabelSelector::from_object(Json())->matches(json("{}")));
  EXPECT_FALSE(
      LabelSelector::from_object(json(R"({"matchExpressions":[{"key":"b","operator":"In"}]})"))
          .ok());
}

TEST(FieldSelector, MatchesOfferedFields) {
  const ResourceInfo& pods = *Registry::builtin().find("", "v1", "pods");
  auto selector = FieldSelector::parse("spec.nodeName=n1,status.phase!=Running", pods);
  ASSERT_TRUE(selector.ok()) << selector.status().to_string();
  EXPECT_TRUE(selector->matches(json(R"({"spec":{"nodeName":"n1"},"status":{"phase":"Failed"}})")));
  EXPECT_FALSE(
      selector->matches(json(R"({"spec":{"nodeName":"n1"},"status":{"phase":"Running"}})")));
  EXPECT_EQ(selector->required_value("spec.nodeName"), "n1");
  EXPECT_TRUE(FieldSelector::parse("spec.nodeName=", pods)->matches(json("{}")))
      << "unbound pods have an empty node name";
}

TEST(FieldSelector, RefusesOtherFields) {
  const ResourceInfo& pods = *Registry::builtin().find("", "v1", "pods");
  auto selector = FieldSelector::parse("spec.foo=1", pods);
  ASSERT_FALSE(selector.ok());
  EXPECT_NE(selector.error().message().find("field label not supported: spec.foo"),
            std::string::npos);
  EXPECT_FALSE(FieldSelector::parse("metadata.name", pods).ok());
}

}  // namespace
}  // namespace pelton::api
