// SPDX-License-Identifier: Apache-2.0
// The algebra of field sets: the text form, and the laws that ownership rests on.
#include "api/fields/field_set.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <set>

namespace pelton::api::fields {
namespace {

using base::Json;

FieldSet parse(const std::string& text) {
  return FieldSet::from_json(Json::parse(text).value()).value();
}

TEST(FieldSet, ReadsAndWritesUpstreamsForm) {
  const char* text =
      R"({"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":)"
      R"({"k:{\"name\":\"c\"}":{".":{},"f:image":{}}},"f:x":{"i:3":{},"v:\"a\"":{}}}})";
  const FieldSet set = parse(text);
  EXPECT_EQ(set.to_json().dump(), Json::parse(text).value().dump());
  EXPECT_TRUE(set.has({"f:metadata", "f:labels"}));
  EXPECT_FALSE(set.has({"f:metadata"}));
  EXPECT_TRUE(set.has({"f:spec", "f:containers", R"(k:{"name":"c"})", "f:image"}));
  std::vector<std::string> paths;
  set.for_each([&](const Path& path) { paths.push_back(to_string(path)); });
  EXPECT_EQ(paths, (std::vector<std::string>{
                       ".metadata.labels", ".metadata.labels.app", ".spec.containers[name=\"c\"]",
                       ".spec.containers[name=\"c\"].image", ".spec.x[3]", ".spec.x[=\"a\"]"}));
}

TEST(FieldSet, KeysInAnyOrderAreOneItem) {
  const FieldSet a = parse(R"({"k:{\"b\":1,\"a\":\"x\"}":{}})");
  const FieldSet b = parse(R"({"k:{ \"a\": \"x\", \"b\": 1 }":{}})");
  EXPECT_EQ(a, b);
  EXPECT_EQ(to_string({a.children()[0].element}), R"([a="x",b=1])");
}

TEST(FieldSet, RefusesWhatIsNoElementAndSkipsWhatItDoesNotKnow) {
  for (const char* text : {"[]", "3", R"({"spec":{}})", R"({"i:x":{}})", R"({"k:[]":{}})",
                           R"({"v:":{}})", R"({"f:a":3})", R"({"":{}})"}) {
    EXPECT_FALSE(FieldSet::from_json(Json::parse(text).value()).ok()) << text;
  }
  EXPECT_EQ(parse(R"({"z:new":{"f:a":{}},"f:b":{}})"), parse(R"({"f:b":{}})"));
  EXPECT_TRUE(parse("{}").empty());
}

TEST(FieldSet, SubtractingAnObjectLeavesItsMembers) {
  const FieldSet all = parse(R"({"f:a":{".":{},"f:b":{},"f:c":{}}})");
  EXPECT_EQ(subtract(all, parse(R"({"f:a":{}})")), parse(R"({"f:a":{"f:b":{},"f:c":{}}})"));
  EXPECT_TRUE(subtract_below(all, parse(R"({"f:a":{}})")).empty());
  EXPECT_EQ(subtract_below(all, parse(R"({"f:a":{"f:b":{}}})")),
            parse(R"({"f:a":{".":{},"f:c":{}}})"));
}

/// Sets as upstream's definition has them: plain sets of paths.
using Paths = std::set<Path>;
Paths paths_of(const FieldSet& set) {
  Paths out;
  set.for_each([&](const Path& path) { out.insert(path); });
  return out;
}
FieldSet set_of(const Paths& paths) {
  FieldSet out;
  for (const Path& path : paths) out.insert(path);
  return out;
}

rc::Gen<Paths> some_paths() {
  const auto element = rc::gen::element<Element>("f:a", "f:b", R"(k:{"n":"x"})", "v:1", "i:0");
  const auto path = rc::gen::mapcat(rc::gen::inRange(1, 4), [element](int length) {
    return rc::gen::container<Path>(static_cast<size_t>(length), element);
  });
  return rc::gen::container<Paths>(path);
}

TEST(FieldSet, IsTheAlgebraOfPlainSetsOfPaths) {
  EXPECT_TRUE(rc::check([] {
    const Paths a = *some_paths(), b = *some_paths();
    Paths sum = a, common, left, left_below;
    sum.insert(b.begin(), b.end());
    for (const Path& path : a) {
      (b.count(path) > 0 ? common : left).insert(path);
      bool is_below = false;
      for (size_t n = 1; n <= path.size(); ++n) {
        is_below = is_below || b.count(Path(path.begin(), path.begin() + static_cast<long>(n))) > 0;
      }
      if (!is_below) left_below.insert(path);
    }
    RC_ASSERT(paths_of(unite(set_of(a), set_of(b))) == sum);
    RC_ASSERT(paths_of(intersect(set_of(a), set_of(b))) == common);
    RC_ASSERT(paths_of(subtract(set_of(a), set_of(b))) == left);
    RC_ASSERT(paths_of(subtract_below(set_of(a), set_of(b))) == left_below);
    RC_ASSERT(FieldSet::from_json(set_of(a).to_json()).value() == set_of(a));
    for (const Path& path : a) RC_ASSERT(set_of(a).has(path));
    // No empty nodes are left behind.
    RC_ASSERT(subtract(set_of(a), set_of(a)).empty());
    RC_ASSERT(subtract(set_of(a), set_of(b)) == set_of(left));
  }));
}

}  // namespace
}  // namespace pelton::api::fields
