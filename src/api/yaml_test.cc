// SPDX-License-Identifier: Apache-2.0
#include "api/yaml.h"

#include <gtest/gtest.h>

namespace pelton::api {
namespace {

using base::Json;

std::string read(std::string_view text) {
  auto value = parse_yaml(text);
  return value.ok() ? value->dump() : value.error().to_string();
}

TEST(Yaml, TypesScalarsAsKubectlDoes) {
  const std::pair<const char*, const char*> kCases[] = {
      {"a: 1", R"({"a":1})"},
      {"a: yes", R"({"a":true})"},
      {"a: off", R"({"a":false})"},
      {"a: 'yes'", R"({"a":"yes"})"},
      {"a: \"1\"", R"({"a":"1"})"},
      {"a: 0x1F", R"({"a":31})"},
      {"a: 0644", R"({"a":420})"},
      {"a: 0o644", R"({"a":420})"},
      {"a: 1_000", R"({"a":1000})"},
      {"a: 1.5", R"({"a":1.5})"},
      {"a: 1.0", R"({"a":1})"},
      {"a: 1e3", R"({"a":"1e3"})"},
      {"a: 1e+3", R"({"a":1000})"},
      {"a: ~", R"({"a":null})"},
      {"a:", R"({"a":null})"},
      {"a: 1.2.3", R"({"a":"1.2.3"})"},
      {"a: 8Gi", R"({"a":"8Gi"})"},
      {"a: 2024-01-02", R"({"a":"2024-01-02"})"},
      {"a: -5", R"({"a":-5})"},
      {"a: 09", R"({"a":9})"},
      {"1: x", R"({"1":"x"})"},
      {"on: x", R"({"true":"x"})"},
      {"a: |\n  x\n  y\n", R"({"a":"x\ny\n"})"},
      {"- 1\n- {b: [c, d]}", R"([1,{"b":["c","d"]}])"},
      {"a: &x {b: 1}\nc: *x", R"({"a":{"b":1},"c":{"b":1}})"},
      {"d: &d {p: 1, q: 2}\nx:\n  <<: *d\n  q: 3", R"({"d":{"p":1,"q":2},"x":{"p":1,"q":3}})"},
      {"", "null"},
      {"# only a comment\n", "null"},
      {R"({"a": 1.0})", R"({"a":1.0})"},
      {"a: 9223372036854775807", R"({"a":9223372036854775807})"},
  };
  for (const auto& [text, want] : kCases) EXPECT_EQ(read(text), want) << text;
}

TEST(Yaml, SplitsDocuments) {
  auto documents = parse_yaml_documents("---\na: 1\n---\n# nothing\n---\nb: 2\n...\n");
  ASSERT_TRUE(documents.ok());
  ASSERT_EQ(documents->size(), 2u);
  EXPECT_EQ((*documents)[1].dump(), R"({"b":2})");
  EXPECT_FALSE(parse_yaml("a: 1\n---\nb: 2\n").ok());
}

TEST(Yaml, NamesTheLineOfAnError) {
  EXPECT_NE(read("a: 1\nb: [1,\n").find("yaml: line"), std::string::npos);
  EXPECT_NE(read("a: 1\n b: 2\n").find("yaml: line 2"), std::string::npos);
  EXPECT_NE(read("a: *nothing\n").find("yaml: line 1"), std::string::npos);
  EXPECT_NE(read("? {a: 1}\n: b\n").find("a key must be a scalar"), std::string::npos);
}

TEST(Yaml, EndsWhereTheParserWouldNot) {
  EXPECT_NE(read(" ,la: [x").find("yaml:"), std::string::npos);
  EXPECT_NE(read(", a").find("yaml:"), std::string::npos);
  EXPECT_NE(read("]").find("yaml:"), std::string::npos);
}

TEST(Yaml, RefusesAliasesOfAliases) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) bomb += (k ? ",*a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_NE(read(bomb).find("excessive aliasing"), std::string::npos);
  EXPECT_NE(read("a: &a [*a]").find("yaml:"), std::string::npos);
}

TEST(Yaml, WritesWhatReadsBackTheSame) {
  const Json value = Json::parse(R"({"a":{"b":[1,{"c":"yes","d":[]},["x"]]},"e":"","f":"1","g":null,
      "h":"multi\nline","i":"- dash","j":"a: b","k":{},"l":1.5,"m":"#x","n":"plain text","o":"-",
      "p":true,"q":"0x10","r":"é","s":"trailing ","t":"*x","u":"=","v":"-1","w":"a #b"})")
                         .value();
  auto back = parse_yaml(to_yaml(value));
  ASSERT_TRUE(back.ok()) << to_yaml(value) << back.status().to_string();
  EXPECT_EQ(*back, value) << to_yaml(value);
  EXPECT_EQ(to_yaml(Json::parse(R"({"a":{"b":[1,{"c":"d","e":2}]},"f":[]})").value()),
            "a:\n  b:\n  - 1\n  - c: d\n    e: 2\nf: []\n");
}

// All short texts of what means something in YAML, as a document, an item, a key and a value.
TEST(Yaml, WritesTextsThatLookLikeYamlSoThatTheyReadBackTheSame) {
  const std::vector<std::string> parts = {"-",
                                          "?",
                                          ":",
                                          ",",
                                          "[",
                                          "{",
                                          "#",
                                          "&",
                                          "*",
                                          "!",
                                          "|",
                                          ">",
                                          "'",
                                          "\"",
                                          "%",
                                          "@",
                                          "`",
                                          "~",
                                          ".",
                                          "<",
                                          "=",
                                          "a",
                                          "0",
                                          " ",
                                          "\t",
                                          "\n",
                                          "\r",
                                          "é",
                                          "\xef\xbb\xbf",
                                          "\xe2\x80\xa8"};
  const auto check = [](const Json& value) {
    auto back = parse_yaml(to_yaml(value));
    ASSERT_TRUE(back.ok()) << value.dump() << " as " << to_yaml(value) << back.status().to_string();
    ASSERT_EQ(*back, value) << to_yaml(value);
  };
  const auto check_text = [&](const std::string& text) {
    check(text);
    check(Json::object({{text, Json::array({text, Json::object({{text, text}})})}}));
  };
  for (const std::string& a : parts) {
    check_text(a);
    for (const std::string& b : parts) {
      check_text(a + b);
      for (const std::string& c : parts) check_text(a + b + c);
    }
  }
  for (const std::string mark : {"-", ".", "<"}) {
    for (const char* behind : {"", " ", " a", "a", ": a"}) check_text(mark + mark + mark + behind);
  }
}

TEST(Yaml, KeysThatStandTwiceAreFoundWithTheirLines) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(
      find_duplicate_keys("a: 1\nb: {c: 1, c: 2}\na: 3\n"),
      (Lines{"line 2: key \"c\" already set in map", "line 3: key \"a\" already set in map"}));
  EXPECT_EQ(find_duplicate_keys("- a: 1\n- a: 1\n"), Lines()) << "two maps";
  EXPECT_EQ(find_duplicate_keys("x: &m {a: 1}\ny:\n  <<: *m\n  a: 2\n"), Lines()) << "a merge";
  EXPECT_EQ(find_duplicate_keys(R"({"a": 1, "a": 2})"),
            Lines{"line 1: key \"a\" already set in map"});
  EXPECT_EQ(find_duplicate_keys("a: 1\na: 2\nb: ["), Lines()) << "not YAML";
  EXPECT_EQ(parse_yaml("a: 1\na: 2")->dump(), R"({"a":2})") << "the last counts";
}

}  // namespace
}  // namespace pelton::api
