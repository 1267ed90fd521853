// SPDX-License-Identifier: Apache-2.0
#include "apiserver/deletion.h"

#include <gtest/gtest.h>

#include "apiserver/binding.h"

namespace pelton::apiserver {
namespace {

using base::Json;
using Act = DeletionStep::Act;

const base::Instant kNow = base::Instant::from_unix_seconds(1'000'000);

const api::ResourceInfo& resource(const char* plural) {
  const api::ResourceInfo* found = api::Registry::builtin().find("", "v1", plural);
  EXPECT_NE(found, nullptr) << plural;
  return *found;
}

DeletionStep decide(const char* plural, const char* object, const DeleteOptions& options = {}) {
  auto step = decide_deletion(resource(plural), Json::parse(object).value(), options, kNow);
  EXPECT_TRUE(step.ok()) << step.status().to_string();
  return step.ok() ? *step : DeletionStep();
}

constexpr const char* kRunning =
    R"({"metadata":{"name":"a","uid":"u","generation":1},"spec":{"nodeName":"n","terminationGracePeriodSeconds":7}})";

TEST(Deletion, APodOnANodeGetsItsGraceAndIsOnlyMarked) {
  const DeletionStep step = decide("pods", kRunning);
  EXPECT_EQ(step.act, Act::Write);
  const Json& metadata = step.object["metadata"];
  EXPECT_EQ(metadata["deletionTimestamp"].as_string(),
            base::format_time(kNow + base::Duration::seconds(7)));
  EXPECT_EQ(metadata["deletionGracePeriodSeconds"].as_int(), 7);
  EXPECT_EQ(metadata["generation"].as_int(), 2);
}

TEST(Deletion, APodThatNobodyRunsGoesAtOnce) {
  EXPECT_EQ(decide("pods", R"({"metadata":{"name":"a"},"spec":{}})").act, Act::Remove);
  EXPECT_EQ(
      decide("pods", R"({"metadata":{},"spec":{"nodeName":"n"},"status":{"phase":"Failed"}})").act,
      Act::Remove);
  DeleteOptions now;
  now.grace_seconds = 0;
  EXPECT_EQ(decide("pods", kRunning, now).act, Act::Remove);
}

TEST(Deletion, ASecondDeleteMayShortenTheGraceButNotLengthenIt) {
  const Json marked = decide("pods", kRunning).object;
  DeleteOptions options;
  options.grace_seconds = 60;
  EXPECT_EQ(decide("pods", marked.dump().c_str(), options).act, Act::Keep);
  options.grace_seconds = 2;
  const DeletionStep step = decide("pods", marked.dump().c_str(), options);
  EXPECT_EQ(step.act, Act::Write);
  EXPECT_EQ(step.object["metadata"]["deletionGracePeriodSeconds"].as_int(), 2);
  EXPECT_EQ(step.object["metadata"]["generation"].as_int(), 2);
}

TEST(Deletion, FinalizersHoldAnObjectUntilTheyAreGone) {
  const char* held = R"({"metadata":{"name":"a","finalizers":["x"]}})";
  DeletionStep step = decide("configmaps", held);
  EXPECT_EQ(step.act, Act::Write);
  EXPECT_FALSE(is_deletion_finished(resource("configmaps"), step.object));
  EXPECT_EQ(decide("configmaps", step.object.dump().c_str()).act, Act::Keep);
  step.object.make("metadata").erase("finalizers");
  EXPECT_TRUE(is_deletion_finished(resource("configmaps"), step.object));
}

TEST(Deletion, APolicyIsAFinalizerForTheGarbageCollector) {
  const char* plain = R"({"metadata":{"name":"a"}})";
  DeleteOptions options;
  options.propagation_policy = "Foreground";
  EXPECT_EQ(decide("configmaps", plain, options).object["metadata"]["finalizers"].dump(),
            R"(["foregroundDeletion"])");
  options.propagation_policy = "Orphan";
  const DeletionStep orphan = decide("configmaps", plain, options);
  EXPECT_EQ(orphan.act, Act::Write);
  EXPECT_EQ(orphan.object["metadata"]["finalizers"].dump(), R"(["orphan"])");
  options.propagation_policy = "Background";
  EXPECT_EQ(decide("configmaps", orphan.object.dump().c_str(), options).act, Act::Remove);
}

TEST(Deletion, ANamespaceWaitsForItsSpecFinalizers) {
  DeletionStep step =
      decide("namespaces", R"({"metadata":{"name":"a"},"spec":{"finalizers":["kubernetes"]}})");
  EXPECT_EQ(step.act, Act::Write);
  EXPECT_EQ(step.object["status"]["phase"].as_string(), "Terminating");
  step.object.make("spec").erase("finalizers");
  EXPECT_TRUE(is_deletion_finished(resource("namespaces"), step.object));
}

TEST(Deletion, PreconditionsMustHold) {
  DeleteOptions options;
  options.uid = "other";
  const auto step = decide_deletion(resource("pods"), Json::parse(kRunning).value(), options, kNow);
  ASSERT_FALSE(step.ok());
  EXPECT_EQ(http_code(step.error()), 409);
  EXPECT_EQ(step.error().message(),
            "Operation cannot be fulfilled on pods \"a\": Precondition failed: UID in "
            "precondition: other, UID in object meta: u");
}

TEST(Binding, RefusesWhatCanNotBeBoundAndNamesThePod) {
  struct Case {
    const char* pod;
    const char* why;  ///< nullptr: it is bound
  };
  const Case cases[] = {
      {R"({"metadata":{"uid":"u"},"spec":{}})", nullptr},
      {R"({"metadata":{"uid":"v"},"spec":{}})", "UID in precondition: u"},
      {R"({"metadata":{"uid":"u"},"spec":{"nodeName":"m"}})", "already assigned to node \"m\""},
      {R"({"metadata":{"uid":"u","deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{}})",
       "being deleted"},
      {R"({"metadata":{"uid":"u"},"spec":{"schedulingGates":[{"name":"g"}]}})", "schedulingGates"},
  };
  for (const Case& c : cases) {
    const auto bound = bind_pod(Json::parse(c.pod).value(), {"p", "u", "n"}, kNow);
    ASSERT_EQ(bound.ok(), c.why == nullptr) << c.pod;
    if (bound.ok()) {
      EXPECT_EQ((*bound)["spec"]["nodeName"].as_string(), "n");
      EXPECT_EQ((*bound)["status"]["conditions"][size_t{0}]["type"].as_string(), "PodScheduled");
      EXPECT_EQ((*bound)["status"]["conditions"][size_t{0}]["status"].as_string(), "True");
    } else {
      EXPECT_NE(bound.error().message().find(c.why), std::string::npos) << bound.error().message();
      EXPECT_NE(bound.error().message().find("pods/binding \"p\""), std::string::npos);
    }
  }
}

TEST(Binding, AGangNamesEachPodOnce) {
  const auto read = [](const char* bindings) {
    return read_gang_binding(
        Json::object({{"metadata", Json::object({{"name", "g"}})},
                      {"spec", Json::object({{"bindings", Json::parse(bindings).value()}})}}));
  };
  EXPECT_TRUE(read(R"([{"podName":"a","podUID":"u","nodeName":"n"}])").ok());
  for (const char* bad : {"[]", R"([{"podName":"a"}])", R"([{"nodeName":"n"}])",
                          R"([{"podName":"a","nodeName":"n"},{"podName":"a","nodeName":"m"}])"}) {
    const auto got = read(bad);
    ASSERT_FALSE(got.ok()) << bad;
    EXPECT_EQ(http_code(got.error()), 422) << bad;
  }
}

}  // namespace
}  // namespace pelton::apiserver
