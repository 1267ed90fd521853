// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/job/decide_job.h"

#include <gtest/gtest.h>

#include <set>

#include "api/object.h"
#include "api/yaml.h"
#include "decide/workload/job/indexes.h"
#include "decide/workload/job/pods.h"
#include "decide/workload/test_cluster.h"

namespace pelton::decide::workload {
namespace {

using base::Duration;
using base::Json;

/// A Job, its pods, and a controller that always sees the newest state.
class JobTest : public testing::Test {
 protected:
  void make_job(const std::string& spec) {
    Json job =
        Json::object({{"apiVersion", "batch/v1"},
                      {"kind", "Job"},
                      {"metadata", Json::object({{"name", "train"}, {"namespace", "default"}})},
                      {"spec", *api::parse_yaml(spec)}});
    Json& containers = job.make("spec.template.spec.containers");
    containers = Json::array({Json::object({{"name", "main"}})});
    cluster_.create(job);
  }

  Json& job() { return *cluster_.find("Job", "train"); }
  const Json& status() { return job()["status"]; }

  Decision look() {
    JobObserved observed;
    observed.job = cluster_.find("Job", "train");
    for (const auto& [key, object] : cluster_.objects) {
      if (std::get<0>(key) == "Pod") observed.pods.push_back(&object);
    }
    return decide_job(observed, options_, cluster_.now);
  }

  /// Decides and acts until nothing is left to do.
  void settle() {
    for (int i = 0; i < 50; ++i) {
      const Decision decision = look();
      if (decision.actions.empty()) return;
      for (const Action& action : decision.actions) {
        if (action.verb == Action::Verb::Note) events_.push_back(action.note.reason);
        if (!cluster_.apply(action)) break;
      }
    }
    FAIL() << "the Job does not settle: " << job().dump(2);
  }

  std::vector<ClusterKey> pods(bool only_live = true) {
    std::vector<ClusterKey> keys;
    for (const auto& [key, object] : cluster_.objects) {
      if (std::get<0>(key) != "Pod") continue;
      if (!only_live || (!TestCluster::has_ended(object) && !api::is_being_deleted(object))) {
        keys.push_back(key);
      }
    }
    return keys;
  }

  void run_all() {
    for (const ClusterKey& key : pods()) cluster_.run_pod(key);
  }
  void end_index(int64_t index, int64_t exit_code) {
    for (const ClusterKey& key : pods()) {
      const Json& pod = cluster_.objects.at(key);
      if (api::label_of(pod, kCompletionIndex) == std::to_string(index)) {
        cluster_.end_pod(key, exit_code);
        return;
      }
    }
    FAIL() << "no live pod of index " << index;
  }
  bool had(const std::string& event) {
    return std::count(events_.begin(), events_.end(), event) > 0;
  }
  std::string reason_of(const std::string& type) {
    const Json* condition = api::find_condition(job(), type);
    return condition == nullptr ? "" : (*condition)["reason"].as_string();
  }

  TestCluster cluster_;
  JobOptions options_;
  std::vector<std::string> events_;
};

constexpr const char* kIndexed =
    "{completionMode: Indexed, completions: 3, parallelism: 3, backoffLimit: 2,"
    " template: {metadata: {labels: {app: x}}, spec: {subdomain: net}}}";

TEST_F(JobTest, an_indexed_pod_bears_its_index_in_name_hostname_label_annotation_and_environment) {
  make_job(kIndexed);
  settle();
  ASSERT_EQ(pods().size(), 3u);
  const Json& pod = cluster_.objects.at(pods()[1]);
  EXPECT_TRUE(api::name_of(pod).starts_with("train-1-"));
  EXPECT_EQ(api::name_of(pod).size(), std::string("train-1-").size() + 5);
  EXPECT_EQ(pod["spec"]["hostname"].as_string(), "train-1");
  EXPECT_EQ(pod["spec"]["subdomain"].as_string(), "net");
  EXPECT_EQ(api::label_of(pod, kCompletionIndex), "1");
  EXPECT_EQ(api::annotation_of(pod, kCompletionIndex), "1");
  EXPECT_EQ(api::label_of(pod, kJobNameLabel), "train");
  EXPECT_EQ(api::label_of(pod, kControllerUidLabel), api::uid_of(job()));
  EXPECT_EQ(api::label_of(pod, "app"), "x");
  EXPECT_TRUE(api::is_controlled_by(pod, job()));
  EXPECT_TRUE(api::has_finalizer(pod, kJobTrackingFinalizer));
  const Json& variable = pod["spec"]["containers"].items()[0]["env"].items()[0];
  EXPECT_EQ(variable["name"].as_string(), "JOB_COMPLETION_INDEX");
  EXPECT_EQ(variable.at("valueFrom.fieldRef.fieldPath").as_string(),
            "metadata.annotations['batch.kubernetes.io/job-completion-index']");
}

TEST_F(JobTest, completes_when_every_index_has_succeeded_and_tells_it_once) {
  make_job(kIndexed);
  settle();
  run_all();
  settle();
  EXPECT_EQ(status()["active"].as_int(), 3);
  EXPECT_EQ(status()["ready"].as_int(), 3);
  for (int64_t i : {0, 2, 1}) {
    end_index(i, 0);
    settle();
  }
  EXPECT_EQ(status()["completedIndexes"].as_string(), "0-2");
  EXPECT_EQ(status()["succeeded"].as_int(), 3);
  EXPECT_TRUE(api::is_condition_true(job(), "Complete"));
  EXPECT_EQ(reason_of("SuccessCriteriaMet"), "CompletionsReached");
  EXPECT_TRUE(status().contains("completionTime"));
  EXPECT_EQ(std::count(events_.begin(), events_.end(), "Completed"), 1);
  for (const ClusterKey& key : pods(false)) {
    EXPECT_FALSE(api::has_finalizer(cluster_.objects.at(key), kJobTrackingFinalizer));
  }
}

TEST_F(JobTest, replaces_a_failed_pod_after_the_backoff_under_another_name) {
  make_job(kIndexed);
  settle();
  run_all();
  const std::string before = std::get<2>(pods()[1]);
  end_index(1, 7);
  settle();
  EXPECT_EQ(status()["failed"].as_int(), 1);
  EXPECT_EQ(pods().size(), 2u) << "the first failure waits for the base of the back-off";
  ASSERT_TRUE(look().look_again);
  EXPECT_LE(look().look_again->ns(), options_.backoff_base.ns());
  cluster_.now = cluster_.now + options_.backoff_base;
  settle();
  ASSERT_EQ(pods().size(), 3u);
  EXPECT_NE(std::get<2>(pods()[1]), before);
  EXPECT_EQ(status()["failed"].as_int(), 1) << "counted once";
}

TEST_F(JobTest, backoff_doubles_with_each_failure_and_starts_anew_after_a_success) {
  make_job("{completionMode: Indexed, completions: 2, parallelism: 1, backoffLimit: 9}");
  for (int64_t wait : {1, 2, 4}) {
    settle();
    run_all();
    end_index(0, 1);
    settle();
    ASSERT_TRUE(look().look_again);
    EXPECT_EQ(look().look_again->ns(), Duration::seconds(wait).ns());
    cluster_.now = cluster_.now + Duration::seconds(wait);
  }
  settle();
  run_all();
  cluster_.now = cluster_.now + Duration::seconds(1);
  end_index(0, 0);
  settle();
  run_all();
  cluster_.now = cluster_.now + Duration::seconds(1);
  end_index(1, 1);
  settle();
  ASSERT_TRUE(look().look_again);
  EXPECT_EQ(look().look_again->ns(), Duration::seconds(1).ns());
}

TEST_F(JobTest, fails_beyond_the_backoff_limit_once_all_pods_have_ended) {
  make_job("{completionMode: Indexed, completions: 2, parallelism: 2, backoffLimit: 0}");
  settle();
  run_all();
  end_index(0, 1);
  settle();
  EXPECT_EQ(reason_of("FailureTarget"), "BackoffLimitExceeded");
  EXPECT_FALSE(api::is_condition_true(job(), "Failed")) << "the other pod has not ended yet";
  EXPECT_TRUE(pods().empty()) << "and is asked to";
  for (const ClusterKey& key : pods(false)) {
    if (!TestCluster::has_ended(cluster_.objects.at(key))) cluster_.end_pod(key, 143);
  }
  settle();
  EXPECT_TRUE(api::is_condition_true(job(), "Failed"));
  EXPECT_EQ((*api::find_condition(job(), "Failed"))["message"].as_string(),
            "Job has reached the specified backoff limit");
  EXPECT_EQ(status()["failed"].as_int(), 2);
  EXPECT_TRUE(status()["uncountedTerminatedPods"].empty());
  EXPECT_TRUE(had("BackoffLimitExceeded"));
}

TEST_F(JobTest, a_pod_that_is_deleted_with_its_node_counts_as_failed_and_is_replaced) {
  make_job(kIndexed);
  settle();
  run_all();
  settle();
  const ClusterKey lost = pods()[0];
  cluster_.remove(lost, "", "", 0);
  EXPECT_TRUE(cluster_.objects.contains(lost)) << "the finalizer keeps it until it is counted";
  settle();
  EXPECT_FALSE(cluster_.objects.contains(lost));
  EXPECT_EQ(status()["failed"].as_int(), 1);
  cluster_.now = cluster_.now + options_.backoff_base;
  settle();
  EXPECT_EQ(pods().size(), 3u);
}

TEST_F(JobTest, a_pod_that_completes_while_it_is_asked_to_go_counts_and_is_not_replaced) {
  // So a Job may count more completions than there are completed pods left to see.
  make_job(kIndexed);
  settle();
  run_all();
  const ClusterKey going = pods()[0];
  Json marked = cluster_.objects.at(going);
  marked.child("metadata").set("deletionTimestamp", base::format_time(cluster_.now));
  cluster_.objects[going] = marked;
  cluster_.end_pod(going, 0);
  settle();
  EXPECT_EQ(status()["completedIndexes"].as_string(), "0");
  EXPECT_FALSE(api::has_finalizer(cluster_.objects[going], kJobTrackingFinalizer));
  cluster_.objects.erase(going);  // the node's agent, or the server, is done with it
  settle();
  EXPECT_EQ(status()["succeeded"].as_int(), 1);
  EXPECT_EQ(pods().size(), 2u);
  end_index(1, 0);
  end_index(2, 0);
  settle();
  EXPECT_EQ(reason_of("Complete"), "CompletionsReached");
  EXPECT_EQ(status()["succeeded"].as_int(), 3);
}

TEST_F(JobTest, suspension_deletes_pods_without_counting_them_and_resuming_starts_anew) {
  make_job(kIndexed);
  settle();
  run_all();
  settle();
  Json suspended = job();
  suspended.child("spec").set("suspend", true);
  ASSERT_TRUE(cluster_.update(suspended, false));
  settle();
  for (const ClusterKey& key : pods(false)) cluster_.end_pod(key, 143);
  settle();
  EXPECT_TRUE(pods(false).empty());
  EXPECT_EQ(status()["failed"].as_int(), 0);
  EXPECT_TRUE(api::is_condition_true(job(), "Suspended"));
  cluster_.now = cluster_.now + Duration::seconds(60);
  Json resumed = job();
  resumed.child("spec").set("suspend", false);
  ASSERT_TRUE(cluster_.update(resumed, false));
  settle();
  EXPECT_EQ(pods().size(), 3u);
  EXPECT_FALSE(api::is_condition_true(job(), "Suspended"));
  EXPECT_EQ(status()["startTime"].as_string(), base::format_time(cluster_.now));
  EXPECT_TRUE(had("Resumed"));
}

TEST_F(JobTest, a_deadline_ends_the_job) {
  make_job("{parallelism: 1, completions: 1, activeDeadlineSeconds: 30}");
  settle();
  ASSERT_TRUE(look().look_again);
  EXPECT_EQ(look().look_again->ns(), Duration::seconds(30).ns());
  cluster_.now = cluster_.now + Duration::seconds(30);
  settle();
  EXPECT_EQ(reason_of("Failed"), "DeadlineExceeded");
}

TEST_F(JobTest, a_finished_job_is_deleted_after_its_time_to_live) {
  make_job("{parallelism: 1, completions: 1, ttlSecondsAfterFinished: 10}");
  settle();
  run_all();
  cluster_.end_pod(pods()[0], 0);
  settle();
  ASSERT_TRUE(api::is_condition_true(job(), "Complete"));
  EXPECT_EQ(look().look_again->ns(), Duration::seconds(10).ns());
  cluster_.now = cluster_.now + Duration::seconds(10);
  const Decision decision = look();
  ASSERT_EQ(decision.actions.size(), 1u);
  EXPECT_EQ(decision.actions[0].propagation, "Foreground");
}

TEST_F(JobTest, a_job_without_completions_ends_with_its_first_success) {
  make_job("{parallelism: 2}");
  settle();
  run_all();
  ASSERT_EQ(pods().size(), 2u);
  cluster_.end_pod(pods()[0], 0);
  settle();
  EXPECT_EQ(pods().size(), 1u) << "nothing new is begun";
  EXPECT_FALSE(api::is_condition_true(job(), "Complete"));
  cluster_.end_pod(pods()[0], 0);
  settle();
  EXPECT_TRUE(api::is_condition_true(job(), "Complete"));
  EXPECT_EQ(status()["succeeded"].as_int(), 2);
}

TEST_F(JobTest, restarts_in_place_use_up_the_backoff_limit) {
  make_job(
      "{parallelism: 1, completions: 1, backoffLimit: 2,"
      " template: {spec: {restartPolicy: OnFailure}}}");
  settle();
  run_all();
  for (int64_t restarts : {1, 2}) {
    Json pod = cluster_.objects.at(pods(false)[0]);
    pod.child("status").set("containerStatuses",
                            Json::array({Json::object({{"restartCount", restarts}})}));
    ASSERT_TRUE(cluster_.update(pod, true));
    settle();
    EXPECT_EQ(reason_of("FailureTarget"), restarts < 2 ? "" : "BackoffLimitExceeded");
  }
}

TEST_F(JobTest, pod_failure_policy_fails_the_job_on_an_exit_code_and_ignores_disruptions) {
  make_job(
      "{completionMode: Indexed, completions: 2, parallelism: 2, backoffLimit: 0,"
      " podFailurePolicy: {rules: ["
      "  {action: Ignore, onPodConditions: [{type: DisruptionTarget}]},"
      "  {action: FailJob, onExitCodes: {operator: In, values: [42]}}]}}");
  settle();
  run_all();
  Json pod = cluster_.objects.at(pods()[0]);
  api::set_condition(pod, {"DisruptionTarget", "True", "x", ""}, cluster_.now);
  ASSERT_TRUE(cluster_.update(pod, true));
  end_index(0, 1);
  settle();
  EXPECT_EQ(status()["failed"].as_int(), 0);
  EXPECT_EQ(reason_of("FailureTarget"), "");
  end_index(1, 42);
  settle();
  EXPECT_EQ(reason_of("FailureTarget"), "PodFailurePolicy");
  EXPECT_NE((*api::find_condition(job(), "FailureTarget"))["message"].as_string().find(
                "failed with exit code 42 matching FailJob rule at index 1"),
            std::string::npos);
}

TEST_F(JobTest, a_limit_per_index_fails_that_index_and_lets_the_others_finish) {
  make_job(
      "{completionMode: Indexed, completions: 2, parallelism: 2, backoffLimit: 99,"
      " backoffLimitPerIndex: 1}");
  for (int i = 0; i < 2; ++i) {
    settle();
    run_all();
    end_index(0, 1);
    settle();
    cluster_.now = cluster_.now + Duration::seconds(60);
  }
  settle();
  EXPECT_EQ(status()["failedIndexes"].as_string(), "0");
  EXPECT_EQ(status()["failed"].as_int(), 2);
  ASSERT_EQ(pods().size(), 1u);
  end_index(1, 0);
  settle();
  EXPECT_EQ(reason_of("Failed"), "FailedIndexes");
}

TEST_F(JobTest, a_second_active_pod_of_an_index_goes) {
  make_job(kIndexed);
  settle();
  Json twin = make_job_pod(job(), 1, 5, -1);
  ASSERT_TRUE(cluster_.create(twin));
  settle();
  EXPECT_EQ(pods().size(), 3u);
  EXPECT_EQ(cluster_.find(TestCluster::key_of(twin)), nullptr);
}

TEST_F(JobTest, fewer_parallel_pods_are_kept_when_parallelism_falls) {
  make_job("{parallelism: 3, completions: 9}");
  settle();
  run_all();
  settle();
  Json smaller = job();
  smaller.child("spec").set("parallelism", 1);
  ASSERT_TRUE(cluster_.update(smaller, false));
  settle();
  EXPECT_EQ(pods().size(), 1u);
  for (const ClusterKey& key : pods(false)) {
    if (api::is_being_deleted(cluster_.objects.at(key))) cluster_.end_pod(key, 143);
  }
  settle();
  EXPECT_EQ(status()["failed"].as_int(), 0);
}

TEST_F(JobTest, pods_of_a_job_that_is_gone_are_let_go) {
  make_job(kIndexed);
  settle();
  std::vector<const Json*> strays;
  for (const ClusterKey& key : pods()) strays.push_back(&cluster_.objects.at(key));
  const Decision decision = decide_orphaned_job_pods(strays);
  ASSERT_EQ(decision.actions.size(), 3u);
  EXPECT_FALSE(api::has_finalizer(decision.actions[0].object, kJobTrackingFinalizer));
}

TEST_F(JobTest, a_job_that_another_controller_manages_is_left_alone) {
  make_job("{managedBy: example.com/mine, parallelism: 1}");
  EXPECT_TRUE(look().actions.empty());
}

TEST(Indexes, are_written_as_ranges_and_read_back) {
  EXPECT_EQ(format_indexes({}), "");
  EXPECT_EQ(format_indexes({0, 2, 3, 4, 7, 8}), "0,2-4,7,8");
  EXPECT_EQ(parse_indexes("0,2-4,7,8", 8), (std::set<int64_t>{0, 2, 3, 4, 7}));
  EXPECT_EQ(parse_indexes("x,1-,-2,5", 8), (std::set<int64_t>{5}));
}

}  // namespace
}  // namespace pelton::decide::workload
