// SPDX-License-Identifier: Apache-2.0
#include "cli/explain_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/yaml.h"

namespace pelton::cli {
namespace {

using base::Json;
using ::testing::HasSubstr;

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
  const auto job =
      explain_job({kJobSet}, {kPolicy}, {pod("w0", "a"), pod("w1", "b")}, "default", "train");
  ASSERT_TRUE(job.ok());
  EXPECT_EQ((*job)["pods"][0]["ranks"].as_string(), "0-1");
  const std::string text = job_text(*job);
  EXPECT_THAT(text, HasSubstr("generation 3 Running, at most 4 ranks"));
  EXPECT_THAT(text, HasSubstr("spare   w1"));
  EXPECT_THAT(text, HasSubstr("last decision: Shrink at t: rank 2 is lost"));
  EXPECT_THAT(text, HasSubstr("6.0 accelerator-seconds  impossible: 0 spares have joined"));
  EXPECT_THAT(text, HasSubstr("RungsOff: RestartPod is off"));
}

TEST(ExplainJob, SaysWhatIsMissing) {
  EXPECT_THAT(explain_job({}, {}, {}, "default", "train").error().message(),
              HasSubstr("there is no JobSet default/train"));
  EXPECT_THAT(explain_job({kJobSet}, {}, {}, "default", "train").error().message(),
              HasSubstr("names RecoveryPolicy p, which is not there"));
}

}  // namespace
}  // namespace pelton::cli
