// SPDX-License-Identifier: Apache-2.0
#include "cli/explain_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/yaml.h"

namespace pelton::cli {
namespace {

using base::Json;
using ::testing::HasSubstr;
using ::testing::Not;

const base::Instant kNow = base::Instant::from_unix_seconds(1'767'225'600);

Json yaml(const std::string& text) {
  return *api::parse_yaml(text);
}

const Json kJobSet = yaml(
    "{kind: JobSet, metadata: {name: train, namespace: default, uid: j, labels: "
    "{pelton.dev/recovery-policy: p}}}");
const Json kPolicy = yaml(
    "{kind: RecoveryPolicy, metadata: {name: p, namespace: default}, spec: {budget: "
    "{windowSeconds: "
    "600, generations: 60, podReplacements: 20, quarantines: 3}}, status: {jobSets: [{name: train, "
    "uid: j, fullWorldSize: 4, generation: {number: 3, jobUID: j, phase: Running, members: "
    "[{podUID: a, ranks: 2}]}, lastDecision: {rung: Shrink, reason: 'rank 2 is lost', at: t, "
    "alternatives: [{rung: SwapSpare, possible: false, lostAcceleratorSeconds: 6.0, why: '0 spares "
    "have joined, 1 needed'}]}, conditions: [{type: RungsAvailable, status: 'False', reason: "
    "RungsOff, message: 'RestartPod is off'}]}]}}");

Json pod(const std::string& name, const std::string& uid) {
  return yaml("{kind: Pod, metadata: {name: " + name + ", namespace: default, uid: " + uid +
              ", labels: {jobset.sigs.k8s.io/jobset-uid: j}}, spec: {nodeName: n1}}");
}

TEST(ExplainJob, TellsMembersTheLastDecisionAndWhatElseItWouldHaveCost) {
  const auto job = explain_job({{kJobSet}, {kPolicy}, {pod("w0", "a"), pod("w1", "b")}, {}},
                               "default", "train", kNow);
  ASSERT_TRUE(job.ok());
  EXPECT_EQ((*job)["pods"][0]["ranks"].as_string(), "0-1");
  const std::string text = job_text(*job);
  EXPECT_THAT(text, HasSubstr("generation 3 Running, at most 4 ranks"));
  EXPECT_THAT(text, HasSubstr("spare   w1"));
  EXPECT_THAT(text, HasSubstr("last decision: Shrink at t: rank 2 is lost"));
  EXPECT_THAT(text, HasSubstr("6.0 accelerator-seconds  impossible: 0 spares have joined"));
  EXPECT_THAT(text, HasSubstr("RungsOff: RestartPod is off"));
}

TEST(ExplainJob, SaysWhatTheJobWaitsFor) {
  const auto waits = [](const Json& policy, const Json& pod) {
    const auto job =
        explain_job({{kJobSet}, {policy}, {pod}, {yaml("{kind: Node, metadata: {name: n1}}")}},
                    "default", "train", kNow);
    return job.ok() ? job_text(*job) : std::string(job.error().message());
  };
  EXPECT_THAT(waits(kPolicy, pod("w0", "a")), HasSubstr("waits for: pod w0 on n1 to begin"));
  // The controller's own words, and the scheduler's.
  Json first = kPolicy;
  first.erase("status");
  const Json pending = yaml(
      "{kind: Pod, metadata: {name: w0, namespace: default, uid: a, labels: "
      "{jobset.sigs.k8s.io/jobset-uid: j}}, spec: {}, status: {conditions: [{type: PodScheduled, "
      "status: 'False', message: '0/1 nodes are available'}]}}");
  EXPECT_THAT(waits(first, pending), HasSubstr("waits for: the JobSet's 0 pods"));
  EXPECT_THAT(waits(first, pending), HasSubstr("a place for pod w0: 0/1 nodes are available"));
  Json over = kPolicy;
  over.child("status")
      .child("jobSets")
      .mutable_items()[0]
      .child("generation")
      .set("phase", "Finished");
  EXPECT_THAT(waits(over, pod("w0", "a")), Not(HasSubstr("waits for")));
}

TEST(ExplainJob, SaysWhatIsMissing) {
  EXPECT_THAT(explain_job({}, "default", "train", kNow).error().message(),
              HasSubstr("there is no JobSet default/train"));
  EXPECT_THAT(explain_job({{kJobSet}, {}, {}, {}}, "default", "train", kNow).error().message(),
              HasSubstr("names RecoveryPolicy p, which is not there"));
}

}  // namespace
}  // namespace pelton::cli
