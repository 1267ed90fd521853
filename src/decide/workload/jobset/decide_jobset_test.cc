// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/jobset/decide_jobset.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "api/object.h"
#include "api/yaml.h"
#include "decide/workload/jobset/children.h"
#include "decide/workload/jobset/policies.h"
#include "decide/workload/test_cluster.h"

namespace pelton::decide::workload {
namespace {

using base::Duration;
using base::Json;

/// A JobSet "js" and its Jobs, with a controller that sees the newest state; what Jobs do is played
/// by hand.
class JobSetTest : public testing::Test {
 protected:
  void make(const std::string& spec) {
    cluster_.create(
        Json::object({{"apiVersion", "jobset.x-k8s.io/v1alpha2"},
                      {"kind", "JobSet"},
                      {"metadata", Json::object({{"name", "js"}, {"namespace", "default"}})},
                      {"spec", *api::parse_yaml(spec)}}));
  }
  Json& jobset() { return *cluster_.find("JobSet", "js"); }
  const Json& status() { return jobset()["status"]; }
  Json* job(const std::string& name) { return cluster_.find("Job", name); }

  Decision look() {
    JobSetObserved observed;
    observed.jobset = &jobset();
    for (const auto& [key, object] : cluster_.objects) {
      if (std::get<0>(key) != "Job") continue;
      if (api::is_controlled_by(object, jobset())) {
        observed.jobs.push_back(&object);
      } else {
        observed.foreign_jobs.insert(api::name_of(object));
      }
    }
    observed.has_service = cluster_.find("Service", subdomain_of(jobset())) != nullptr;
    return decide_jobset(observed, cluster_.now);
  }

  /// Acts until nothing is left to do. Foreground deletion of Jobs ends at once if `jobs_vanish`.
  void settle(bool jobs_vanish = true) {
    for (int i = 0; i < 50; ++i) {
      const Decision decision = look();
      bool acted = false;
      for (const Action& action : decision.actions) {
        if (action.verb == Action::Verb::Note) {
          events_.push_back(action.note.reason);
          continue;
        }
        acted = true;
        if (!cluster_.apply(action)) break;
        if (action.verb == Action::Verb::Delete && jobs_vanish) vanish(action.target.name);
      }
      if (!acted) return;
    }
    FAIL() << "the JobSet does not settle: " << jobset().dump(2);
  }

  void vanish(const std::string& name) {
    if (Json* found = job(name)) {
      Json next = *found;
      next.child("metadata").erase("finalizers");
      cluster_.update(next, false);
    }
  }
  void set_status(const std::string& name, const Json& values) {
    Json next = *job(name);
    for (const auto& member : values.members()) next.child("status").set(member.name, member.value);
    ASSERT_TRUE(cluster_.update(next, true));
  }
  void ready(const std::string& name) {
    const int64_t parallelism = (*job(name))["spec"]["parallelism"].as_int(1);
    set_status(name, Json::object({{"ready", parallelism}, {"active", parallelism}}));
  }
  void end(const std::string& name, const std::string& type, const std::string& reason = "",
           const std::string& message = "") {
    Json next = *job(name);
    api::set_condition(next, {type, "True", reason, message}, cluster_.now);
    ASSERT_TRUE(cluster_.update(next, true));
  }
  void set_suspended(bool value) {
    Json next = jobset();
    next.child("spec").set("suspend", value);
    ASSERT_TRUE(cluster_.update(next, false));
  }
  std::vector<std::string> jobs() {
    std::vector<std::string> names;
    for (const auto& [key, object] : cluster_.objects) {
      if (std::get<0>(key) == "Job") names.push_back(api::name_of(object));
    }
    return names;
  }
  std::string condition(const std::string& type) {
    const Json* found = api::find_condition(jobset(), type);
    if (found == nullptr) return "";
    return (*found)["status"].as_string() + " " + (*found)["reason"].as_string();
  }
  int64_t count(const std::string& event) {
    return std::count(events_.begin(), events_.end(), event);
  }
  Json entry(const std::string& name) {
    for (const Json& item : status()["replicatedJobsStatus"].items()) {
      if (item["name"].as_string() == name) return item;
    }
    return nullptr;
  }
  using Names = std::vector<std::string>;

  TestCluster cluster_;
  std::vector<std::string> events_;
};

constexpr const char* kTwo =
    "{replicatedJobs: ["
    " {name: driver, replicas: 1, groupName: a, template: {spec: {parallelism: 1}}},"
    " {name: workers, replicas: 2, template: {metadata: {labels: {x: z}},"
    "  spec: {parallelism: 4, completions: 4, completionMode: Indexed}}}],"
    " failurePolicy: {maxRestarts: 2},"
    " coordinator: {replicatedJob: driver}}";

TEST_F(JobSetTest, child_jobs_bear_the_names_labels_and_indexes_of_their_place) {
  make(kTwo);
  settle();
  EXPECT_EQ(jobs(), (Names{"js-driver-0", "js-workers-0", "js-workers-1"}));
  const Json& child = *job("js-workers-1");
  const std::map<std::string_view, std::string> expected = {
      {kJobSetName, "js"},
      {kJobSetUid, api::uid_of(jobset())},
      {kReplicatedJobName, "workers"},
      {kReplicatedJobReplicas, "2"},
      {kJobIndex, "1"},
      {kJobGlobalIndex, "2"},
      {kGlobalReplicas, "3"},
      {kGroupName, "default"},
      {kGroupReplicas, "2"},
      {kJobGroupIndex, "1"},
      {kRestartAttempt, "0"},
      {kCoordinator, "js-driver-0-0.js"},
      {kJobKey, job_key("default", "js-workers-1")}};
  for (const auto& [key, value] : expected) {
    EXPECT_EQ(api::label_of(child, key), value) << key;
    EXPECT_EQ(api::annotation_of(child, key), value) << key;
    const Json& pod = child["spec"]["template"];
    EXPECT_EQ(api::label_of(pod, key), value) << key;
    EXPECT_EQ(api::annotation_of(pod, key), value) << key;
  }
  EXPECT_EQ(api::label_of(child, "x"), "z");
  EXPECT_TRUE(child["spec"].contains("suspend"));
  EXPECT_FALSE(child["spec"]["suspend"].as_bool());
  EXPECT_EQ(child.at("spec.template.spec.subdomain").as_string(), "js");
  EXPECT_TRUE(api::is_controlled_by(child, jobset()));
}

TEST_F(JobSetTest, hands_exclusive_placement_down_to_jobs_and_pods) {
  make(R"(
replicatedJobs:
- {name: w, replicas: 1, template: {spec: {completions: 1}}}
- name: own
  template:
    metadata: {annotations: {alpha.jobset.sigs.k8s.io/exclusive-topology: rack}}
    spec: {completions: 1}
)");
  jobset().child("metadata").set("annotations", Json::object({{kExclusiveTopology, "zone"}}));
  settle();
  EXPECT_EQ(api::annotation_of(*job("js-w-0"), kExclusiveTopology), "zone");
  EXPECT_EQ(api::annotation_of((*job("js-w-0"))["spec"]["template"], kExclusiveTopology), "zone");
  EXPECT_EQ(api::annotation_of((*job("js-own-0"))["spec"]["template"], kExclusiveTopology), "rack");
  EXPECT_TRUE((*job("js-w-0"))["spec"]["template"]["spec"]["nodeSelector"].is_null());
}

TEST_F(JobSetTest, the_node_selector_strategy_asks_for_the_nodes_of_the_job) {
  make(R"(
replicatedJobs:
- name: w
  template: {spec: {completions: 1, template: {spec: {nodeSelector: {a: b}}}}}
)");
  jobset()
      .child("metadata")
      .set("annotations",
           Json::object({{kExclusiveTopology, "zone"}, {kNodeSelectorStrategy, "true"}}));
  settle();
  const Json& pod = (*job("js-w-0"))["spec"]["template"];
  EXPECT_EQ(pod["spec"]["nodeSelector"],
            Json::object({{"a", "b"}, {kNamespacedJob, "default_js-w-0"}}));
  EXPECT_EQ(pod["spec"]["tolerations"][0]["key"].as_string(), kNoScheduleTaint);
  EXPECT_EQ(api::annotation_of(pod, kNodeSelectorStrategy), "true");
}

TEST_F(JobSetTest, with_a_recovery_policy_replaced_pods_are_no_failures_of_their_job) {
  make(
      "replicatedJobs: [{name: a, replicas: 1, template: {spec: {podFailurePolicy: {rules: "
      "[{action: FailJob, onExitCodes: {operator: In, values: [42]}}]}, template: {spec: "
      "{restartPolicy: Never}}}}},"
      " {name: b, replicas: 1, template: {spec: {template: {spec: {restartPolicy: OnFailure}}}}}]");
  jobset().child("metadata").set("labels", Json::object({{kRecoveryPolicy, "p"}}));
  settle();
  const Json& a = *job("js-a-0");
  EXPECT_EQ(api::label_of(a, kRecoveryPolicy), "p");
  EXPECT_EQ(api::label_of(a["spec"]["template"], kRecoveryPolicy), "p");
  const Json& rules = a["spec"]["podFailurePolicy"]["rules"];
  ASSERT_EQ(rules.size(), 3U);
  EXPECT_EQ(rules[0]["onPodConditions"][0]["type"].as_string(), "DisruptionTarget");
  EXPECT_EQ(rules[1]["action"].as_string(), "FailJob") << "the user's own";
  EXPECT_EQ(rules[2]["onExitCodes"]["values"].size(), 5U);
  const Json& b = *job("js-b-0");
  EXPECT_EQ(api::label_of(b["spec"]["template"], kRecoveryPolicy), "p");
  EXPECT_FALSE(b["spec"].contains("podFailurePolicy")) << "Kubernetes permits none there";
}

TEST_F(JobSetTest, the_job_key_is_the_sha1_of_namespace_and_name) {
  EXPECT_EQ(job_key("default", "a"), "71273818d6cbdf46a9ba682585b58383f10d7807");
}

TEST_F(JobSetTest, a_headless_service_gives_names_unless_it_is_switched_off) {
  make(kTwo);
  settle();
  const Json* service = cluster_.find("Service", "js");
  ASSERT_NE(service, nullptr);
  EXPECT_EQ(service->at("spec.clusterIP").as_string(), "None");
  EXPECT_EQ((*service)["spec"]["selector"][kJobSetName].as_string(), "js");
  EXPECT_TRUE(service->at("spec.publishNotReadyAddresses").as_bool());

  Json other = jobset();
  other.child("metadata").set("name", "quiet");
  other.make("spec.network").set("enableDNSHostnames", false);
  JobSetObserved observed;
  observed.jobset = &other;
  for (const Action& action : decide_jobset(observed, cluster_.now).actions) {
    EXPECT_NE(action.object["kind"].as_string(), "Service");
    EXPECT_TRUE(action.object.at("spec.template.spec.subdomain").is_null());
  }
}

TEST_F(JobSetTest, counts_ready_active_and_finished_jobs_sorted_by_name_descending) {
  make(kTwo);
  settle();
  ready("js-workers-0");
  end("js-driver-0", "Complete");
  settle();
  EXPECT_EQ(status()["replicatedJobsStatus"].items()[0]["name"].as_string(), "workers");
  EXPECT_EQ(entry("workers")["ready"].as_int(), 1);
  EXPECT_EQ(entry("workers")["active"].as_int(), 1);
  EXPECT_EQ(entry("driver")["succeeded"].as_int(), 1);
}

TEST_F(JobSetTest, completes_when_all_jobs_have_and_deletes_nothing_then) {
  make(kTwo);
  settle();
  for (const std::string& name : jobs()) {
    EXPECT_EQ(condition("Completed"), "");
    end(name, "Complete");
    settle();
  }
  EXPECT_EQ(condition("Completed"), "True AllJobsCompleted");
  EXPECT_EQ(status()["terminalState"].as_string(), "Completed");
  EXPECT_EQ(jobs().size(), 3u);
  EXPECT_EQ(count("AllJobsCompleted"), 1);
}

TEST_F(JobSetTest, success_of_any_target_is_enough_and_ends_the_active_jobs) {
  make(
      "{successPolicy: {operator: Any, targetReplicatedJobs: [b]}, replicatedJobs: ["
      "{name: a, replicas: 1, template: {}}, {name: b, replicas: 2, template: {}}]}");
  settle();
  end("js-a-0", "Complete");
  settle();
  EXPECT_EQ(condition("Completed"), "");
  end("js-b-1", "Complete");
  settle();
  EXPECT_EQ(condition("Completed"), "True AllJobsCompleted");
  EXPECT_EQ(jobs(), (Names{"js-a-0", "js-b-1"}));
}

TEST_F(JobSetTest, without_a_failure_policy_a_failed_job_fails_it) {
  make("{replicatedJobs: [{name: a, replicas: 2, template: {}}]}");
  settle();
  end("js-a-1", "Failed", "BackoffLimitExceeded");
  settle();
  EXPECT_EQ(condition("Failed"), "True FailedJobs");
  EXPECT_EQ((*api::find_condition(jobset(), "Failed"))["message"].as_string(),
            "jobset failed due to one or more job failures (first failed job: js-a-1)");
  EXPECT_EQ(jobs(), (Names{"js-a-1"})) << "the active one goes, the failed one stays";
  EXPECT_EQ(count("FailedJobs"), 1);
}

TEST_F(JobSetTest, a_failed_job_restarts_all_until_the_maximum_is_reached) {
  make(kTwo);
  settle();
  for (int64_t attempt = 1; attempt <= 2; ++attempt) {
    end("js-driver-0", "Complete");
    end("js-workers-1", "Failed", "BackoffLimitExceeded");
    end("js-workers-0", "Failed", "BackoffLimitExceeded");
    settle();
    EXPECT_EQ(status()["restarts"].as_int(), attempt) << "two failures together cost one restart";
    EXPECT_EQ(status()["restartsCountTowardsMax"].as_int(), attempt);
    ASSERT_EQ(jobs().size(), 3u);
    for (const std::string& name : jobs()) {
      EXPECT_EQ(api::label_of(*job(name), kRestartAttempt), std::to_string(attempt));
      EXPECT_EQ(api::find_condition(*job(name), "Failed"), nullptr);
    }
    EXPECT_EQ(condition("RestartingJobSet"), "True DefaultFailurePolicy");
    EXPECT_EQ(count("RestartJobSetFailurePolicyAction"), attempt);
  }
  for (const std::string& name : jobs()) ready(name);
  settle();
  EXPECT_EQ(condition("RestartingJobSet"), "False JobsReady");
  end("js-workers-0", "Failed", "BackoffLimitExceeded");
  settle();
  EXPECT_EQ(condition("Failed"), "True ReachedMaxRestarts");
  EXPECT_EQ(status()["restarts"].as_int(), 2);
}

TEST_F(JobSetTest, recreates_a_job_as_soon_as_its_old_name_is_free) {
  make(kTwo);
  settle();
  end("js-workers-1", "Failed", "BackoffLimitExceeded");
  settle(false);
  EXPECT_EQ(api::label_of(*job("js-workers-0"), kRestartAttempt), "0");
  vanish("js-workers-0");
  settle(false);
  EXPECT_EQ(api::label_of(*job("js-workers-0"), kRestartAttempt), "1");
  EXPECT_EQ(api::label_of(*job("js-workers-1"), kRestartAttempt), "0") << "is still ending";
}

TEST_F(JobSetTest, blocking_recreate_waits_until_every_old_job_is_gone) {
  make(
      "{failurePolicy: {maxRestarts: 1, restartStrategy: BlockingRecreate},"
      " replicatedJobs: [{name: a, replicas: 2, template: {}}]}");
  settle();
  end("js-a-1", "Failed", "BackoffLimitExceeded");
  settle(false);
  vanish("js-a-0");
  settle(false);
  EXPECT_EQ(jobs(), (Names{"js-a-1"}));
  vanish("js-a-1");
  settle(false);
  EXPECT_EQ(jobs(), (Names{"js-a-0", "js-a-1"}));
}

TEST_F(JobSetTest, the_first_rule_that_matches_any_failure_decides) {
  make(
      "{failurePolicy: {maxRestarts: 0, rules: ["
      " {name: r0, action: FailJobSet, onJobFailureReasons: [PodFailurePolicy],"
      "  onJobFailureMessagePatterns: ['exit code 4[23]']},"
      " {name: r1, action: RestartJobSetAndIgnoreMaxRestarts, targetReplicatedJobs: [a]}]},"
      " replicatedJobs: [{name: a, template: {}}, {name: b, template: {}}]}");
  settle();
  for (int64_t restarts : {1, 2}) {
    end("js-a-0", "Failed", "BackoffLimitExceeded");
    settle();
    EXPECT_EQ(status()["restarts"].as_int(), restarts);
    EXPECT_EQ(status()["restartsCountTowardsMax"].as_int(), 0);
    EXPECT_EQ(condition("RestartingJobSet"), "True FailurePolicy_r1");
  }
  end("js-a-0", "Failed", "BackoffLimitExceeded");
  cluster_.now = cluster_.now + Duration::seconds(1);
  end("js-b-0", "Failed", "PodFailurePolicy", "failed with exit code 43 matching");
  settle();
  EXPECT_EQ(condition("Failed"), "True FailJobSetFailurePolicyAction");
  EXPECT_NE((*api::find_condition(jobset(), "Failed"))["message"].as_string().find("js-b-0"),
            std::string::npos);
}

TEST_F(JobSetTest, the_oldest_failure_is_named) {
  make("{replicatedJobs: [{name: a, replicas: 2, template: {}}]}");
  settle();
  end("js-a-1", "Failed", "x");
  cluster_.now = cluster_.now + Duration::seconds(5);
  end("js-a-0", "Failed", "x");
  settle();
  EXPECT_NE((*api::find_condition(jobset(), "Failed"))["message"].as_string().find("js-a-1"),
            std::string::npos);
}

TEST_F(JobSetTest, in_order_startup_creates_each_replicated_job_after_the_one_before_has_started) {
  make(
      "{startupPolicy: {startupPolicyOrder: InOrder}, replicatedJobs: ["
      "{name: a, template: {}}, {name: b, template: {spec: {parallelism: 2}}}]}");
  settle();
  EXPECT_EQ(jobs(), (Names{"js-a-0"}));
  EXPECT_EQ(condition("StartupPolicyInProgress"), "True InOrderStartupPolicyInProgress");
  ready("js-a-0");
  settle();
  EXPECT_EQ(jobs(), (Names{"js-a-0", "js-b-0"}));
  ready("js-b-0");
  settle();
  EXPECT_EQ(condition("StartupPolicyCompleted"), "True InOrderStartupPolicyCompleted");
  EXPECT_EQ(condition("StartupPolicyInProgress"), "False InOrderStartupPolicyInProgress");
  set_status("js-a-0", Json::object({{"ready", 0}}));
  settle();
  EXPECT_EQ(condition("StartupPolicyCompleted"), "False InOrderStartupPolicyCompleted");
}

TEST_F(JobSetTest, depends_on_holds_back_only_the_one_that_depends) {
  make(
      "{replicatedJobs: [{name: a, template: {}},"
      " {name: b, dependsOn: [{name: a, status: Complete}], template: {}},"
      " {name: c, dependsOn: [{name: a, status: Ready}], template: {}},"
      " {name: d, template: {}}]}");
  settle();
  EXPECT_EQ(jobs(), (Names{"js-a-0", "js-d-0"}));
  ready("js-a-0");
  settle();
  EXPECT_EQ(jobs(), (Names{"js-a-0", "js-c-0", "js-d-0"}));
  end("js-a-0", "Complete");
  settle();
  EXPECT_EQ(jobs(), (Names{"js-a-0", "js-b-0", "js-c-0", "js-d-0"}));
}

TEST_F(JobSetTest, suspension_reaches_the_jobs_and_resuming_merges_what_was_injected) {
  make(kTwo);
  settle();
  for (const std::string& name : jobs()) set_status(name, Json::object({{"startTime", "x"}}));
  set_suspended(true);
  settle();
  EXPECT_EQ(condition("Suspended"), "True SuspendedJobs");
  EXPECT_TRUE((*job("js-workers-0"))["spec"]["suspend"].as_bool());
  EXPECT_EQ(entry("workers")["suspended"].as_int(), 2);
  Json next = jobset();
  next.child("spec").set("suspend", false);
  Json& rjob = next.child("spec").child("replicatedJobs").mutable_items()[1];
  rjob.make("template.spec.template.spec.nodeSelector").set("zone", "b");
  rjob.make("template.spec.template.spec")
      .set("tolerations", Json::array({Json::object({{"key", "k"}})}));
  ASSERT_TRUE(cluster_.update(next, false));
  settle();
  const Json& child = *job("js-workers-0");
  EXPECT_FALSE(child["spec"]["suspend"].as_bool());
  EXPECT_FALSE(child["status"].contains("startTime"));
  EXPECT_EQ(child.at("spec.template.spec.nodeSelector.zone").as_string(), "b");
  EXPECT_EQ(child.at("spec.template.spec.tolerations").size(), 1u);
  EXPECT_EQ(condition("Suspended"), "False ResumeJobs");
}

TEST_F(JobSetTest, a_suspended_jobset_makes_its_jobs_suspended_and_starts_nothing) {
  make(
      "{suspend: true, startupPolicy: {startupPolicyOrder: InOrder},"
      " replicatedJobs: [{name: a, template: {}}, {name: b, template: {}}]}");
  settle();
  EXPECT_EQ(jobs(), (Names{"js-a-0", "js-b-0"}));
  EXPECT_TRUE((*job("js-a-0"))["spec"]["suspend"].as_bool());
  set_suspended(false);
  settle();
  EXPECT_FALSE((*job("js-a-0"))["spec"]["suspend"].as_bool());
  EXPECT_TRUE((*job("js-b-0"))["spec"]["suspend"].as_bool()) << "one at a time";
  EXPECT_EQ(condition("Suspended"), "True SuspendedJobs");
  ready("js-a-0");
  settle();
  ready("js-b-0");
  settle();
  EXPECT_EQ(condition("Suspended"), "False ResumeJobs");
}

TEST_F(JobSetTest, a_job_of_that_name_of_somebody_else_is_told_and_left) {
  cluster_.create(
      Json::object({{"kind", "Job"},
                    {"metadata", Json::object({{"name", "js-a-0"}, {"namespace", "default"}})}}));
  make("{replicatedJobs: [{name: a, replicas: 2, template: {}}]}");
  settle();
  EXPECT_GE(count("JobCreationFailed"), 1);
  EXPECT_NE(job("js-a-1"), nullptr);
}

TEST_F(JobSetTest, a_job_that_others_delete_is_made_again_uncounted) {
  make(kTwo);
  settle();
  cluster_.remove({"Job", "default", "js-workers-0"}, "");
  settle();
  EXPECT_EQ(jobs().size(), 3u);
  EXPECT_EQ(status()["restarts"].as_int(), 0);
}

TEST_F(JobSetTest, is_deleted_after_its_time_to_live) {
  make("{ttlSecondsAfterFinished: 5, replicatedJobs: [{name: a, template: {}}]}");
  settle();
  end("js-a-0", "Complete");
  settle();
  EXPECT_EQ(look().look_again->ns(), Duration::seconds(5).ns());
  cluster_.now = cluster_.now + Duration::seconds(5);
  const Decision decision = look();
  ASSERT_EQ(decision.actions.size(), 1u);
  EXPECT_EQ(decision.actions[0].target.gvk.kind, "JobSet");
  EXPECT_EQ(decision.actions[0].propagation, "Foreground");
}

TEST_F(JobSetTest, is_left_alone_while_being_deleted_or_managed_by_another) {
  make("{managedBy: kueue.x-k8s.io/multikueue, replicatedJobs: [{name: a, template: {}}]}");
  EXPECT_TRUE(look().actions.empty());
}

TEST_F(JobSetTest, a_label_that_is_no_number_stops_the_pass_and_says_so) {
  make("{replicatedJobs: [{name: a, replicas: 1, template: {}}]}");
  settle();
  Json next = *job("js-a-0");
  next.child("metadata").child("labels").set(kRestartAttempt, "one");
  ASSERT_TRUE(cluster_.update(next, false));
  const Decision decision = look();
  ASSERT_EQ(decision.actions.size(), 1u);
  EXPECT_NE(decision.actions[0].note.message.find("\"one\""), std::string::npos);
}

}  // namespace
}  // namespace pelton::decide::workload
