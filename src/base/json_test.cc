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

TEST(Json, EscapesAByteWhereverInAStringItStands) {
  for (int byte = 1; byte < 0x80; ++byte) {
    for (size_t at = 0; at < 20; ++at) {
      std::string text = "neither here nor there";
      text[at] = static_cast<char>(byte);
      const std::string written = Json(text).dump();
      EXPECT_EQ(parse(written).as_string(), text) << "byte " << byte << " at " << at;
      const bool is_escaped = byte < 0x20 || byte == '"' || byte == '\\';
      EXPECT_EQ(written.size() > text.size() + 2, is_escaped) << "byte " << byte << " at " << at;
    }
  }
  EXPECT_EQ(Json("h\xc3\xa9, \xe2\x82\xac: \xf0\x9f\x98\x80!").dump(),
            "\"h\xc3\xa9, \xe2\x82\xac: \xf0\x9f\x98\x80!\"");
}

TEST(Json, ReadsLargeAndSmallTextsByTurns) {
  const std::string large = "[\"" + std::string(200'000, 'x') + "\"]";
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(parse(large)[0].as_string().size(), 200'000U);
    EXPECT_EQ(parse("[1]")[0].as_int(), 1);
    EXPECT_FALSE(Json::parse("[1").ok()) << "and nothing of the one before is left";
  }
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
