// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/garbage/decide_garbage.h"

#include <gtest/gtest.h>

#include "api/object.h"
#include "api/yaml.h"
#include "decide/workload/namespace_deletion/decide_namespace.h"

namespace pelton::decide::workload {
namespace {

using base::Json;

Json object(const std::string& name, const std::string& metadata) {
  return *api::parse_yaml("{apiVersion: v1, kind: ConfigMap, metadata: {name: " + name +
                          ", namespace: default, uid: u-" + name + metadata + "}}");
}

constexpr const char* kOwned = ", ownerReferences: [{uid: u-o, blockOwnerDeletion: true}]";
constexpr const char* kOwnedTwice = ", ownerReferences: [{uid: u-o}, {uid: u-q}]";
constexpr const char* kForeground =
    ", deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [x, foregroundDeletion]";
constexpr const char* kOrphaning =
    ", deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [orphan]";

Decision decide(const Json& object, std::vector<OwnerState> owners,
                const std::vector<Json>& dependents = {}) {
  GarbageObserved observed;
  observed.object = &object;
  observed.owners = std::move(owners);
  for (const Json& dependent : dependents) observed.dependents.push_back(&dependent);
  return decide_garbage(observed);
}

TEST(Garbage, an_object_goes_when_all_its_owners_are_gone) {
  const Decision decision = decide(object("a", kOwned), {OwnerState::Gone});
  ASSERT_EQ(decision.actions.size(), 1u);
  EXPECT_EQ(decision.actions[0].verb, Action::Verb::Delete);
  EXPECT_EQ(decision.actions[0].target.uid, "u-a");
  EXPECT_EQ(decision.actions[0].propagation, "Background");
}

TEST(Garbage, an_object_stays_while_an_owner_is_there_or_may_be) {
  EXPECT_TRUE(decide(object("a", kOwned), {OwnerState::Present}).actions.empty());
  EXPECT_TRUE(decide(object("a", kOwned), {OwnerState::Unknown}).actions.empty());
}

TEST(Garbage, an_object_forgets_owners_that_are_gone_while_others_stay) {
  const Decision decision =
      decide(object("a", kOwnedTwice), {OwnerState::Gone, OwnerState::Present});
  ASSERT_EQ(decision.actions.size(), 1u);
  EXPECT_EQ(decision.actions[0].verb, Action::Verb::Update);
  const Json& references = decision.actions[0].object["metadata"]["ownerReferences"];
  ASSERT_EQ(references.size(), 1u);
  EXPECT_EQ(references.items()[0]["uid"].as_string(), "u-q");
}

TEST(Garbage, an_owner_in_foreground_deletion_waits_for_what_blocks_it_then_goes) {
  const Json owner = object("o", kForeground);
  EXPECT_TRUE(decide(owner, {}, {object("a", kOwned)}).actions.empty());
  const Decision decision = decide(owner, {}, {object("b", ", ownerReferences: [{uid: u-o}]")});
  ASSERT_EQ(decision.actions.size(), 1u);
  const Json& finalizers = decision.actions[0].object["metadata"]["finalizers"];
  ASSERT_EQ(finalizers.size(), 1u) << "others' finalizers stay";
  EXPECT_EQ(finalizers.items()[0].as_string(), "x");
}

TEST(Garbage, a_dependent_of_an_owner_that_waits_goes_in_the_foreground_if_it_owns_something) {
  const Json leaf = object("a", kOwned);
  EXPECT_EQ(decide(leaf, {OwnerState::WaitsForDependents}).actions.at(0).propagation, "Background");
  EXPECT_EQ(
      decide(leaf, {OwnerState::WaitsForDependents}, {object("c", "")}).actions.at(0).propagation,
      "Foreground");
}

TEST(Garbage, orphaning_takes_the_owner_from_its_dependents_first) {
  const Decision decision = decide(object("o", kOrphaning), {}, {object("a", kOwned)});
  ASSERT_EQ(decision.actions.size(), 2u);
  EXPECT_EQ(api::name_of(decision.actions[0].object), "a");
  EXPECT_FALSE(decision.actions[0].object["metadata"].contains("ownerReferences"));
  EXPECT_EQ(api::name_of(decision.actions[1].object), "o");
  EXPECT_FALSE(decision.actions[1].object["metadata"].contains("finalizers"));
}

TEST(NamespaceDeletion, empties_it_then_lets_it_go_once_nothing_can_be_hidden) {
  Json space = *api::parse_yaml(
      "{apiVersion: v1, kind: Namespace, metadata: {name: n}, spec: {finalizers: [kubernetes]}}");
  const Json content = object("a", "");
  NamespaceObserved observed;
  observed.object = &space;
  observed.contents = {&content};
  EXPECT_TRUE(decide_namespace(observed).actions.empty()) << "it is not being deleted";
  space.child("metadata").set("deletionTimestamp", "2026-01-01T00:00:00Z");
  ASSERT_EQ(decide_namespace(observed).actions.size(), 1u);
  EXPECT_EQ(decide_namespace(observed).actions[0].verb, Action::Verb::Delete);
  observed.contents.clear();
  EXPECT_TRUE(decide_namespace(observed).actions.empty());
  EXPECT_TRUE(decide_namespace(observed).look_again);
  observed.is_complete = true;
  const Decision decision = decide_namespace(observed);
  ASSERT_EQ(decision.actions.size(), 1u);
  EXPECT_EQ(decision.actions[0].verb, Action::Verb::Finalize);
  EXPECT_TRUE(decision.actions[0].object["spec"]["finalizers"].empty());
}

}  // namespace
}  // namespace pelton::decide::workload
