// SPDX-License-Identifier: Apache-2.0
#include "control/recovery_reconciler.h"

#include <gtest/gtest.h>

#include "api/object.h"
#include "api/yaml.h"
#include "decide/recovery/records.h"

namespace pelton::control {
namespace {

using base::Json;
namespace recovery = decide::recovery;

class RecoveryReconcilerTest : public testing::Test {
 protected:
  RecoveryReconcilerTest() {
    make(
        "{apiVersion: pelton.dev/v1alpha1, kind: RecoveryPolicy, metadata: {name: p, namespace: "
        "default, uid: u-p, generation: 1}, spec: {}}");
    make(
        "{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, metadata: {name: js, namespace: "
        "default, uid: u-js, labels: {pelton.dev/recovery-policy: p}}, spec: {replicatedJobs: "
        "[{name: w, replicas: 1, template: {spec: {parallelism: 2, template: {spec: "
        "{restartPolicy: Never}}}}}]}}");
    for (int i = 0; i < 2; ++i) {
      const std::string n = std::to_string(i);
      make("{apiVersion: v1, kind: Node, metadata: {name: n" + n + "}}");
      make("{apiVersion: v1, kind: Pod, metadata: {name: a" + n + ", namespace: default, uid: u-a" +
           n +
           ", labels: {pelton.dev/recovery-policy: p, jobset.sigs.k8s.io/jobset-uid: u-js, "
           "jobset.sigs.k8s.io/restart-attempt: '0'}, annotations: "
           "{batch.kubernetes.io/job-completion-index: '" +
           n + "'}}, spec: {nodeName: n" + n + "}, status: {phase: Running}}");
      report(i, {});
    }
  }

  void make(const std::string& yaml) { put(*api::parse_yaml(yaml)); }
  void put(Json object) {
    object.child("metadata").set("resourceVersion", std::to_string(++revision_));
    view_.put(std::move(object));
  }
  void report(int pod, const recovery::PodReport& report) {
    Json object = *view_.get("Pod", "default", "a" + std::to_string(pod));
    api::set_condition(object,
                       {recovery::kWorkersCondition, "True", recovery::stage_name(report.stage),
                        recovery::to_json(report).dump()},
                       now_);
    put(std::move(object));
  }
  Plan look() { return reconciler_.reconcile({"default", "p"}, view_, now_); }
  /// The status that the first command writes, applied.
  Json write(const Plan& plan) {
    Json object = std::get<UpdateStatus>(plan.commands.at(0)).object;
    put(object);
    return object["status"]["jobSets"][0];
  }
  std::vector<std::string> told(const Plan& plan) {
    std::vector<std::string> all;
    for (const Command& command : plan.commands) all.push_back(describe(command));
    return all;
  }

  base::Instant now_ = base::Instant::from_unix_seconds(1'000'000);
  client::Cache view_{{"pelton.dev/recovery-policy", "jobset.sigs.k8s.io/jobset-uid"}};
  RecoveryReconciler reconciler_;
  uint64_t revision_ = 0;
};

TEST_F(RecoveryReconcilerTest, writes_the_generation_first_and_nothing_the_second_time) {
  const Plan plan = look();
  EXPECT_EQ(told(plan), (std::vector<std::string>{"UpdateStatus RecoveryPolicy default/p",
                                                  "EmitEvent Start about JobSet default/js"}));
  EXPECT_EQ(std::get<UpdateStatus>(plan.commands[0]).object["metadata"]["resourceVersion"],
            (*view_.get("RecoveryPolicy", "default", "p"))["metadata"]["resourceVersion"])
      << "decided from this state alone";
  const Json entry = write(plan);
  EXPECT_EQ(entry["generation"]["number"].as_int(), 1);
  EXPECT_EQ(entry["generation"]["members"][1]["pod"].as_string(), "a1");
  EXPECT_TRUE(look().commands.empty());
}

TEST_F(RecoveryReconcilerTest, a_lost_node_ends_the_generation_before_its_pod_is_deleted) {
  write(look());
  Json node = *view_.get("Node", "", "n1");
  api::set_condition(node, {"Ready", "Unknown", "", ""}, now_);
  put(node);
  const Plan plan = look();
  const std::vector<std::string> steps = {"UpdateStatus RecoveryPolicy default/p",
                                          "UpdateStatus Pod default/a1", "Delete Pod default/a1",
                                          "EmitEvent Wait about JobSet default/js"};
  EXPECT_EQ(told(plan), steps);
  EXPECT_EQ(std::get<Delete>(plan.commands[2]).uid, "u-a1");
  EXPECT_TRUE(
      api::is_condition_true(std::get<UpdateStatus>(plan.commands[1]).object, "DisruptionTarget"));
  EXPECT_EQ(write(plan)["generation"]["phase"].as_string(), "Waiting");
  // It died after the first write: its successor deletes, and decides nothing.
  EXPECT_EQ(told(look()), (std::vector<std::string>{steps[1], steps[2]}));
}

TEST_F(RecoveryReconcilerTest, a_bad_policy_is_told_on_the_jobset) {
  make(
      "{apiVersion: pelton.dev/v1alpha1, kind: RecoveryPolicy, metadata: {name: p, namespace: "
      "default, uid: u-p}, spec: {minReplicas: 3, maxReplicas: 2}}");
  const Plan plan = look();
  const Json& jobset = std::get<UpdateStatus>(plan.commands.at(0)).object;
  const Json& condition = *api::find_condition(jobset, "pelton.dev/Recovery");
  EXPECT_EQ(condition["reason"].as_string(), "InvalidPolicy");
  EXPECT_NE(condition["message"].as_string().find("spec.minReplicas"), std::string::npos);
}

TEST_F(RecoveryReconcilerTest, a_policy_that_is_not_there_and_rungs_that_are_off_are_told) {
  view_.remove(*view_.get("RecoveryPolicy", "default", "p"));
  Json jobset = std::get<UpdateStatus>(look().commands.at(0)).object;
  EXPECT_EQ((*api::find_condition(jobset, "pelton.dev/Recovery"))["reason"].as_string(),
            "PolicyNotFound");
  make(
      "{apiVersion: pelton.dev/v1alpha1, kind: RecoveryPolicy, metadata: {name: p, namespace: "
      "default, uid: u-p}, spec: {}}");
  Json& job = jobset.child("spec").child("replicatedJobs").mutable_items()[0];
  job.make("template.spec.template.spec").set("restartPolicy", "OnFailure");
  put(jobset);
  const Plan plan = look();
  const Json& condition = *api::find_condition(std::get<UpdateStatus>(plan.commands.at(2)).object,
                                               "pelton.dev/Recovery");
  EXPECT_EQ(condition["reason"].as_string(), "RungsOff");
  EXPECT_NE(condition["message"].as_string().find("RestartPod is off"), std::string::npos);
}

TEST_F(RecoveryReconcilerTest, what_ended_a_job_for_good_is_told_on_the_jobset) {
  make(
      "{apiVersion: pelton.dev/v1alpha1, kind: RecoveryPolicy, metadata: {name: p, namespace: "
      "default, uid: u-p}, spec: {rungs: [RestartInPlace]}}");
  const std::string detail = "/checkpoints/log/1.record: of job \"a\", and this is job \"b\"";
  Json condition;
  for (int64_t number = 1; number < 9 && condition.is_null(); ++number) {
    recovery::PodReport failed{.generation = number};
    failed.workers.push_back({.rank = 0,
                              .state = recovery::WorkerState::Raised,
                              .cause = "Refused",
                              .detail = detail,
                              .since = now_});
    ASSERT_EQ(write(look())["generation"]["number"].as_int(), number);
    report(0, failed);
    report(1, {.generation = number});
    now_ = now_ + base::Duration::seconds(20);
    for (const Command& command : look().commands) {
      const auto* update = std::get_if<UpdateStatus>(&command);
      if (update == nullptr || update->object["kind"].as_string() != "JobSet") continue;
      condition = *api::find_condition(update->object, "pelton.dev/Recovery");
    }
  }
  EXPECT_EQ(condition["reason"].as_string(), "NoRungLeft");
  EXPECT_NE(condition["message"].as_string().find(detail), std::string::npos)
      << condition["message"].as_string();
  EXPECT_NE(condition["message"].as_string().find("in a row"), std::string::npos);
}

TEST_F(RecoveryReconcilerTest, a_pod_a_jobset_and_a_node_concern_their_policy) {
  const Keys policy = {{"default", "p"}};
  EXPECT_EQ(reconciler_.keys_of(*view_.get("Pod", "default", "a0"), view_), policy);
  EXPECT_EQ(reconciler_.keys_of(*view_.get("JobSet", "default", "js"), view_), policy);
  EXPECT_EQ(reconciler_.keys_of(*view_.get("Node", "", "n0"), view_), policy);
}

}  // namespace
}  // namespace pelton::control
