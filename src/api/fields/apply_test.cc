// SPDX-License-Identifier: Apache-2.0
// Applying: who owns what afterwards, what goes, and who stands in the way.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "api/fields/managed_fields.h"
#include "api/fields/typed.h"
#include "api/object.h"

namespace pelton::api::fields {
namespace {

using base::Json;

Json parse(const std::string& text) {
  auto value = Json::parse(text);
  EXPECT_TRUE(value.ok()) << text;
  return value.ok() ? *value : Json();
}
base::Instant at(int64_t seconds) {
  return base::parse_time("2026-01-01T00:00:00Z").value() + base::Duration::seconds(seconds);
}

/// One object that several managers write.
class Subject {
 public:
  explicit Subject(const char* plural = "pods") : r_(*Registry::builtin().find("", "v1", plural)) {
    object = Json::object({{"apiVersion", "v1"}, {"kind", r_.kind}});
  }
  /// "" or the message of the conflict.
  std::string apply(const std::string& manager, const std::string& config, bool force = false) {
    ApplyRequest request;
    request.config = parse(config);
    request.config.set("apiVersion", "v1");
    request.config.set("kind", r_.kind);
    request.is_forced = force;
    request.is_new = is_new_;
    const auto result = apply_config(r_, object, request, {manager, "", at(++now_)});
    if (!result.ok()) {
      last_causes = result.error().causes();
      return result.error().message();
    }
    is_new_ = false;
    object = *result;
    return "";
  }
  void update(const std::string& manager, const Json& after, const std::string& subresource = "") {
    Json wanted = after;
    const Json sent = after["metadata"]["managedFields"];
    const Json before = is_new_ ? empty_object(r_) : object;
    track_update(r_, before, wanted, sent, {manager, subresource, at(++now_)}, is_new_);
    keep_times_of_no_change(object, wanted);
    is_new_ = false;
    object = wanted;
  }
  void create(const std::string& manager, const std::string& after) {
    Json wanted = parse(after);
    wanted.set("apiVersion", "v1");
    wanted.set("kind", r_.kind);
    update(manager, wanted);
  }
  /// What the manager owns, as FieldsV1; "" where it has no entry.
  std::string owns(const std::string& manager) const {
    for (const Json& entry : object["metadata"]["managedFields"].items()) {
      if (entry["manager"].as_string() == manager) return entry["fieldsV1"].dump();
    }
    return "";
  }
  std::string time_of(const std::string& manager) const {
    for (const Json& entry : object["metadata"]["managedFields"].items()) {
      if (entry["manager"].as_string() == manager) return entry["time"].as_string();
    }
    return "";
  }
  Json object;
  std::vector<base::Cause> last_causes;

 private:
  const ResourceInfo& r_;
  bool is_new_ = true;
  int64_t now_ = 0;
};

TEST(Apply, WhatIsNoLongerStatedGoesUnlessAnotherOwnsIt) {
  Subject s("configmaps");
  EXPECT_EQ(s.apply("one", R"({"data":{"a":"1","b":"1","c":"1"}})"), "");
  EXPECT_EQ(s.owns("one"), R"({"f:data":{"f:a":{},"f:b":{},"f:c":{}}})");
  EXPECT_EQ(s.apply("two", R"({"data":{"b":"1","d":"2"}})"), "");  // shares b
  EXPECT_EQ(s.apply("one", R"({"data":{"a":"1"}})"), "");
  EXPECT_EQ(s.object["data"].dump(), R"({"a":"1","b":"1","d":"2"})");
  EXPECT_EQ(s.apply("two", R"({"metadata":{"labels":{"x":"y"}}})"), "");
  EXPECT_EQ(s.object["data"].dump(), R"({"a":"1"})");
  EXPECT_EQ(s.apply("one", R"({})"), "");
  EXPECT_TRUE(s.object["data"].is_null());
  EXPECT_EQ(s.owns("one"), "");
}

TEST(Apply, AConflictNamesManagersAndFieldsAndForceTakesThem) {
  Subject s("configmaps");
  s.create("kubectl-client-side-apply", R"({"data":{"a":"1","b":"1"}})");
  EXPECT_EQ(s.apply("two", R"({"data":{"a":"2"}})"),
            "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: "
            ".data.a");
  ASSERT_EQ(s.last_causes.size(), 1U);
  EXPECT_EQ(s.last_causes[0],
            (base::Cause{"FieldManagerConflict", ".data.a",
                         "conflict with \"kubectl-client-side-apply\" using v1"}));
  EXPECT_EQ(s.apply("other", R"({"data":{"c":"1"}})"), "");
  EXPECT_EQ(s.apply("two", R"({"data":{"a":"2","b":"2","c":"2"}})"),
            "Apply failed with 3 conflicts: conflicts with \"kubectl-client-side-apply\" using "
            "v1:\n- .data.a\n- .data.b\nconflicts with \"other\":\n- .data.c");
  EXPECT_EQ(s.apply("two", R"({"data":{"a":"2","b":"1"}})", true), "");
  EXPECT_EQ(s.object["data"].dump(), R"({"a":"2","b":"1","c":"1"})");
  // An equal value is shared, not taken; what made the map is not lost.
  EXPECT_EQ(s.owns("kubectl-client-side-apply"), R"({"f:data":{".":{},"f:b":{}}})");
  EXPECT_EQ(s.owns("two"), R"({"f:data":{"f:a":{},"f:b":{}}})");
}

TEST(Apply, ItemsOfAListBelongToWhoStatesThem) {
  Subject s;
  EXPECT_EQ(s.apply("one", R"({"spec":{"containers":[{"name":"a","image":"x","ports":)"
                           R"([{"containerPort":80}]}]}})"),
            "");
  EXPECT_EQ(s.apply("two", R"({"spec":{"containers":[{"name":"b","image":"y"}]}})"), "");
  ASSERT_EQ(s.object["spec"]["containers"].size(), 2U);
  EXPECT_EQ(s.apply("two", R"({"spec":{"containers":[{"name":"a","args":["1"]}]}})"), "");
  EXPECT_EQ(s.object["spec"]["containers"].dump(),
            R"([{"args":["1"],"image":"x","name":"a","ports":[{"containerPort":80}]}])");
  EXPECT_EQ(s.apply("two", R"({})"), "");
  EXPECT_EQ(s.object["spec"]["containers"].dump(),
            R"([{"image":"x","name":"a","ports":[{"containerPort":80}]}])");
  EXPECT_NE(s.apply("two", R"({"spec":{"containers":[{"name":"a","image":"z"}]}})"), "");
}

TEST(Apply, ASetIsJoinedAndASelectorIsOwnedWhole) {
  Subject s("services");
  EXPECT_EQ(s.apply("one", R"({"metadata":{"finalizers":["x/a"]},"spec":{"selector":{"a":"1"}}})"),
            "");
  EXPECT_EQ(s.apply("two", R"({"metadata":{"finalizers":["x/b"]}})"), "");
  EXPECT_EQ(s.object["metadata"]["finalizers"].size(), 2U);
  EXPECT_NE(s.apply("two", R"({"spec":{"selector":{"b":"1"}}})"), "");
  EXPECT_EQ(s.apply("one", R"({"spec":{"selector":{"b":"1"}}})"), "");
  EXPECT_EQ(s.object["spec"]["selector"].dump(), R"({"b":"1"})");
  EXPECT_EQ(s.object["metadata"]["finalizers"].dump(), R"(["x/b"])");
}

TEST(Apply, TheSameAgainChangesNothingNotEvenATime) {
  Subject s("configmaps");
  s.apply("one", R"({"data":{"a":"1"}})");
  s.apply("two", R"({"data":{"b":"1"}})");
  const Json before = s.object;
  s.apply("one", R"({"data":{"a":"1"}})");
  EXPECT_EQ(s.object.dump(), before.dump());
  s.update("three", before);
  EXPECT_EQ(s.object.dump(), before.dump());
}

TEST(Apply, AnUpdateTakesWhatItChangesFromEverybody) {
  Subject s;
  s.apply("one", R"({"metadata":{"labels":{"a":"1","b":"1"}},"spec":{"containers":[{"name":"c",)"
                 R"("image":"x"}],"hostname":"h"}})");
  Json changed = s.object;
  changed.make("metadata.labels").set("a", "2");
  changed.make("metadata.labels").set("c", "3");
  changed.make("spec").erase("hostname");
  s.update("two", changed);
  EXPECT_EQ(s.owns("two"), R"({"f:metadata":{"f:labels":{"f:a":{},"f:c":{}}}})");
  EXPECT_EQ(s.owns("one"), R"j({"f:metadata":{"f:labels":{"f:b":{}}},"f:spec":{"f:containers":)j"
                           R"j({"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{}}}}})j");
  EXPECT_EQ(s.time_of("two"), "2026-01-01T00:00:02Z");
  EXPECT_EQ(s.time_of("one"), "2026-01-01T00:00:01Z");
}

TEST(Apply, ACreationOwnsAsUpstreamShowsIt) {
  Subject s;
  s.create("kubectl-run", R"({"metadata":{"name":"p","uid":"u","labels":{"run":"p"}},"spec":)"
                          R"({"containers":[{"name":"c","image":"i"}],"restartPolicy":"Never"}})");
  EXPECT_EQ(s.owns("kubectl-run"),
            R"j({"f:metadata":{"f:labels":{".":{},"f:run":{}}},"f:spec":{"f:containers":)j"
            R"j({"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{}}},"f:restartPolicy":{}}})j");
  EXPECT_EQ(s.object["metadata"]["managedFields"][0]["apiVersion"].as_string(), "v1");
  EXPECT_EQ(s.object["metadata"]["managedFields"][0]["operation"].as_string(), "Update");
}

TEST(Apply, AnObjectWithoutOwnersGetsThemAtItsFirstApply) {
  Subject s("configmaps");
  s.create("one", R"({"metadata":{"uid":"u"},"data":{"a":"1"}})");
  s.object.make("metadata").set("managedFields", parse("[{}]"));
  s.update("one", s.object);  // forgets all
  EXPECT_TRUE(s.object["metadata"]["managedFields"].is_null());
  Json changed = s.object;
  changed.make("data").set("b", "1");
  s.update("one", changed);
  EXPECT_TRUE(s.object["metadata"]["managedFields"].is_null());
  EXPECT_EQ(s.apply("two", R"({"data":{"a":"2"}})"),
            "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a");
  EXPECT_EQ(s.apply("two", R"({"data":{"c":"2"}})"), "");
  EXPECT_EQ(s.owns("before-first-apply"), R"({"f:data":{".":{},"f:a":{},"f:b":{}}})");
}

TEST(Apply, AnEmptyListForgetsAllOwnersAndWhatIsNoListOfOwnersNone) {
  for (const char* list : {"null", "[{},{}]", R"([{"manager":"x"}])", R"({"a":"b"})"}) {
    Subject s("configmaps");
    s.create("one", R"({"data":{"a":"1"}})");
    const Json before = s.object;
    Json sent = before;
    sent.make("metadata").set("managedFields", parse(list));
    s.update("two", sent);
    EXPECT_EQ(s.object.dump(), before.dump()) << list;
    sent.make("metadata").set("managedFields", Json::array());
    s.update("two", sent, "status");  // not through a subresource
    EXPECT_EQ(s.object.dump(), before.dump());
    s.update("two", sent);
    EXPECT_TRUE(s.object["metadata"]["managedFields"].is_null());
  }
}

TEST(Apply, KubectlMovesFromClientSideToServerSide) {
  // kubectl's own applier may change what its client-side apply has set, and nobody else's.
  Subject s("configmaps");
  s.create("kubectl-client-side-apply",
           R"({"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":)"
           R"("{\"data\":{\"a\":\"1\",\"b\":\"1\"}}"}},"data":{"a":"1","b":"1"}})");
  Json changed = s.object;
  changed.make("data").set("b", "9");
  s.update("editor", changed);
  EXPECT_EQ(s.apply("kubectl", R"({"data":{"a":"2","b":"2"}})"),
            "Apply failed with 1 conflict: conflict with \"editor\" using v1: .data.b");
  EXPECT_EQ(s.apply("another", R"({"data":{"a":"2"}})"),
            "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: "
            ".data.a");
  EXPECT_EQ(s.apply("kubectl", R"({"data":{"a":"2"}})"), "");
  EXPECT_EQ(s.object["data"]["a"].as_string(), "2");
  // The annotation follows, for who goes back.
  EXPECT_EQ(annotation_of(s.object, "kubectl.kubernetes.io/last-applied-configuration"),
            "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"2\"},\"kind\":\"ConfigMap\"}\n");
}

TEST(Apply, TheOldestOfManyUpdatersAreMerged) {
  Subject s("configmaps");
  s.create("m0", R"({"data":{"k0":"1"}})");
  for (int i = 1; i < 14; ++i) {
    Json changed = s.object;
    changed.make("data").set("k" + std::to_string(i), "1");
    s.update("m" + std::to_string(i), changed);
  }
  EXPECT_EQ(s.object["metadata"]["managedFields"].size(), 10U);
  EXPECT_EQ(s.owns("ancient-changes"),
            R"({"f:data":{".":{},"f:k0":{},"f:k1":{},"f:k2":{},"f:k3":{},"f:k4":{}}})");
}

/// Whatever managers do once owners are tracked, each field that is there has an owner, appliers
/// get what they state, and nobody owns what is not there.
TEST(Apply, OwnersAndObjectAgreeWhateverHappens) {
  EXPECT_TRUE(rc::check([] {
    Subject s("configmaps");
    s.create("base", R"({"metadata":{"labels":{"l":"1"}}})");
    const int steps = *rc::gen::inRange(1, 12);
    for (int i = 0; i < steps; ++i) {
      Json data = Json::object();
      for (const char* key : {"a", "b", "c"}) {
        const int value = *rc::gen::inRange(0, 3);
        if (value > 0) data.set(key, std::to_string(value));
      }
      Json config = Json::object();
      if (!data.empty()) config.set("data", data);
      const std::string manager = *rc::gen::element<std::string>("x", "y", "z");
      if (*rc::gen::arbitrary<bool>()) {
        const bool is_forced = *rc::gen::arbitrary<bool>();
        const Json before = s.object;
        const std::string conflict = s.apply(manager, config.dump(), is_forced);
        RC_ASSERT(conflict.empty() || !is_forced);
        if (conflict.empty()) {
          for (const Json::Member& m : data.members())
            RC_ASSERT(s.object["data"][m.name] == m.value);
        } else {
          RC_ASSERT(s.object == before);
        }
      } else {
        Json wanted = s.object;
        wanted.erase("data");
        if (!data.empty()) wanted.set("data", data);
        s.update(manager, wanted);
      }
      FieldSet owned;
      const auto managed = read_managed_fields(s.object["metadata"]["managedFields"]);
      RC_ASSERT(managed.ok());
      for (const ManagedEntry& entry : *managed) owned = unite(owned, entry.fields);
      FieldSet present, data_itself;
      for (const Json::Member& m : s.object["data"].members()) {
        present.insert({"f:data", member_element(m.name)});
      }
      RC_ASSERT(subtract(present, owned).empty());
      data_itself.insert({"f:data"});
      FieldSet owned_data;
      if (const FieldSet* below = owned.find("f:data")) owned_data.attach("f:data", *below);
      const FieldSet shadows = subtract(subtract(owned_data, present), data_itself);
      RC_ASSERT(shadows.empty());
    }
  }));
}

}  // namespace
}  // namespace pelton::api::fields
