// SPDX-License-Identifier: Apache-2.0
// Whatever the order in which things happen and however late they are seen, a Job's counts are
// right and no index runs twice.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <set>

#include "api/object.h"
#include "decide/workload/job/decide_job.h"
#include "decide/workload/job/pods.h"
#include "decide/workload/test_cluster.h"

namespace pelton::decide::workload {
namespace {

using base::Json;

/// One Job under a controller whose views lag and which may crash between any two writes.
class LaggingJob {
 public:
  LaggingJob(bool indexed, int64_t completions, int64_t parallelism) : view_(cluster_) {
    cluster_.create(
        Json::object({{"apiVersion", "batch/v1"},
                      {"kind", "Job"},
                      {"metadata", Json::object({{"name", "j"}, {"namespace", "default"}})},
                      {"spec", Json::object({{"completionMode", indexed ? "Indexed" : "NonIndexed"},
                                             {"completions", completions},
                                             {"parallelism", parallelism},
                                             {"backoffLimit", 1000}})}}));
    options_.backoff_base = base::Duration();
  }

  Json& job() { return *cluster_.find("Job", "j"); }
  bool is_complete() { return api::is_condition_true(job(), "Complete"); }

  /// A look at views that show everything up to `lag` events ago (own writes included), of whose
  /// actions at most `budget` are executed before a crash.
  bool look(size_t job_lag, size_t pod_lag, size_t budget) {
    advance("Job", job_lag);
    advance("Pod", pod_lag);
    JobObserved observed;
    observed.job = view_.find("Job", "j");
    if (observed.job == nullptr) return false;
    observed.pods = view_.owned_by("Pod", api::uid_of(*observed.job));
    const Decision decision = decide_job(observed, options_, cluster_.now);
    for (const Action& action : decision.actions) {
      if (budget-- == 0) {
        is_restarted_ = true;
        break;
      }
      if (!cluster_.apply(action)) break;
      const std::string kind = action.verb == Action::Verb::Delete
                                   ? action.target.gvk.kind
                                   : action.object["kind"].as_string();
      own_writes_[kind] = cluster_.history.size();
    }
    check();
    return !decision.actions.empty();
  }

  /// Something happens to the pod number `which` of those that live.
  void happen(size_t which, int what) {
    std::vector<ClusterKey> live;
    for (const auto& [key, object] : cluster_.objects) {
      if (std::get<0>(key) == "Pod" && !TestCluster::has_ended(object)) live.push_back(key);
    }
    if (live.empty()) return;
    const ClusterKey key = live[which % live.size()];
    const Json& pod = cluster_.objects.at(key);
    const bool is_tracked = api::has_finalizer(pod, kJobTrackingFinalizer);
    const std::string uid = api::uid_of(pod);
    cluster_.now = cluster_.now + base::Duration::seconds(1);
    if (pod["spec"]["nodeName"].as_string().empty()) {
      cluster_.run_pod(key);
    } else if (what == 0) {
      cluster_.end_pod(key, 0);
      if (is_tracked) ended_well_.insert(uid);
    } else if (what == 1) {
      cluster_.end_pod(key, 1);
      if (is_tracked) ended_badly_.insert(uid);
    } else {
      cluster_.remove(key, uid, "", what == 2 ? std::optional<int64_t>() : 0);
      if (is_tracked) ended_badly_.insert(uid);
    }
    check();
  }

  /// At no moment do two pods of one index live that nobody has asked to go.
  void check() {
    std::set<std::string> indexes;
    for (const auto& [key, object] : cluster_.objects) {
      if (std::get<0>(key) != "Pod" || TestCluster::has_ended(object)) continue;
      if (api::is_being_deleted(object)) continue;
      const std::string& index = api::label_of(object, kCompletionIndex);
      if (!index.empty()) RC_ASSERT(indexes.insert(index).second);
    }
  }

  TestCluster cluster_;
  std::set<std::string> ended_well_, ended_badly_;

 private:
  void advance(const std::string& kind, size_t lag) {
    size_t end = cluster_.history.size() - std::min(lag, cluster_.history.size());
    // After a crash the successor lists anew.
    if (is_restarted_) end = cluster_.history.size();
    view_.advance(kind, std::max({end, view_.seen(kind), own_writes_[kind]}));
    if (kind == "Pod") is_restarted_ = false;
  }

  TestView view_;
  JobOptions options_;
  std::map<std::string, size_t> own_writes_;
  bool is_restarted_ = false;
};

void run_to_the_end(LaggingJob& world) {
  for (int i = 0; i < 300 && !world.is_complete(); ++i) {
    if (!world.look(0, 0, SIZE_MAX)) world.happen(0, 0);
  }
  RC_ASSERT(world.is_complete());
  for (int i = 0; i < 20; ++i) world.look(0, 0, SIZE_MAX);
}

void check_any_history(bool indexed) {
  const auto completions = *rc::gen::inRange<int64_t>(1, 6);
  const auto parallelism = *rc::gen::inRange<int64_t>(1, 6);
  LaggingJob world(indexed, completions, parallelism);
  const auto steps = *rc::gen::container<std::vector<std::tuple<int, int, int, int>>>(
      rc::gen::tuple(rc::gen::inRange(0, 8), rc::gen::inRange(0, 12), rc::gen::inRange(0, 12),
                     rc::gen::inRange(0, 12)));
  for (const auto& [what, a, b, c] : steps) {
    if (what < 4) {
      world.happen(static_cast<size_t>(a), what);
    } else {
      world.look(static_cast<size_t>(a), static_cast<size_t>(b),
                 c < 8 ? static_cast<size_t>(c) : SIZE_MAX);
    }
  }
  run_to_the_end(world);
  const Json& status = world.job()["status"];
  RC_ASSERT(status["succeeded"].as_int() == completions);
  RC_ASSERT(status["uncountedTerminatedPods"].empty());
  // A pod that was asked to go may still have ended well: then it may count either way.
  int64_t both = 0;
  for (const std::string& uid : world.ended_badly_) both += world.ended_well_.contains(uid) ? 1 : 0;
  const auto failures = static_cast<int64_t>(world.ended_badly_.size());
  RC_ASSERT(status["failed"].as_int() <= failures);
  RC_ASSERT(status["failed"].as_int() >= failures - both);
}

TEST(JobProperty, an_indexed_job_completes_with_right_counts_under_any_lag_and_crash) {
  EXPECT_TRUE(rc::check([] { check_any_history(true); }));
}

TEST(JobProperty, a_plain_job_completes_with_right_counts_under_any_lag_and_crash) {
  EXPECT_TRUE(rc::check([] { check_any_history(false); }));
}

}  // namespace
}  // namespace pelton::decide::workload
