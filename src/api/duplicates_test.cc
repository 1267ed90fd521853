// SPDX-License-Identifier: Apache-2.0
#include "api/duplicates.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace pelton::api {
namespace {

TEST(DuplicateFields, AreFoundWhereverTheyAreAndOnlyThere) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"a":1,"b":{"a":2},"c":[{"a":1},{"a":2}]})", ""},
      {R"({"a":1,"a":2,"a":3})", "a"},
      {R"( { "spec" : { "x" : [ {"n":"\"}"} , {"y":{}, "z":[], "y":[1,{}]} ] } })", "spec.x[1].y"},
      {R"({"a":{"b":1,"b":2},"a":{"b":1}})", "a.b a"},
      {R"({"\u0061":1,"a":2})", "a"},
      {R"({"a":"{\"b\":1,\"b\":2}","b":"\\","c":0})", ""},
      {"[]", ""},
      {"3", ""},
      // No JSON: it ends.
      {R"({"a":1,"a)", ""},
      {R"({"a":[1,)", ""},
      {"\"\\", ""},
      {"", ""},
  };
  for (const auto& [text, paths] : cases) {
    EXPECT_EQ(base::join(find_duplicate_fields(text), " "), paths) << text;
  }
  const std::string deep(100'000, '[');
  EXPECT_TRUE(find_duplicate_fields(deep).empty());
}

}  // namespace
}  // namespace pelton::api
