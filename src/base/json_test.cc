// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <gtest/gtest.h>

namespace pelton::base {
namespace {

Json parse(std::string_view text) {
  Result<Json> result = Json::parse(text);
  EXPECT_TRUE(result.ok()) << text << ": " << result.status().to_string();
  return result.ok() ? *result : Json();
}

TEST(Json, ReadsAndWritesEveryType) {
  const Json value = parse(R"({"b":[1,-2,2.5,true,null,"x\n\u00e9"],"a":{}})");
  EXPECT_EQ(value.dump(), "{\"a\":{},\"b\":[1,-2,2.5,true,null,\"x\\n\xc3\xa9\"]}");
  EXPECT_EQ(parse(value.dump()), value);
}

TEST(Json, KeepsIntegersAndFractionsApart) {
  EXPECT_TRUE(parse("1").is_int());
  EXPECT_TRUE(parse("1.0").is_double());
  EXPECT_EQ(parse("1.0").dump(), "1.0");
  EXPECT_EQ(parse("9223372036854775807").as_int(), INT64_MAX);
  EXPECT_TRUE(parse("9223372036854775808").is_double());
  EXPECT_EQ(parse("0.1").dump(), "0.1");
}

TEST(Json, LastOfRepeatedMembersWins) {
  EXPECT_EQ(parse(R"({"b":1,"a":2,"b":3})").dump(), R"({"a":2,"b":3})");
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const char* text : {"", "{", "{\"a\":}", "[1,]", "nul", "\"\xff\"", "1 2", "{'a':1}"}) {
    EXPECT_FALSE(Json::parse(text).ok()) << text;
  }
  EXPECT_FALSE(Json::parse(std::string(100'000, '[')).ok()) << "too deep";
}

TEST(Json, PathsReadNullWhereTheyEndEarly) {
  Json value;
  value.make("spec.template.spec").set("x", 1);
  EXPECT_EQ(value.at("spec.template.spec.x").as_int(), 1);
  EXPECT_TRUE(value.at("spec.nothing.here").is_null());
  EXPECT_TRUE(value["a"]["b"][3]["c"].is_null());
  EXPECT_TRUE(value.erase("spec"));
  EXPECT_TRUE(value.empty());
}

}  // namespace
}  // namespace pelton::base
