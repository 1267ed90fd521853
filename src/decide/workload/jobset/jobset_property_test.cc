// SPDX-License-Identifier: Apache-2.0
// A JobSet, its Jobs, their pods and the garbage collector, each with views that lag and crashes
// between writes: the end is right, restarts are counted once, and no place is taken twice.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <set>

#include "api/object.h"
#include "decide/workload/garbage/decide_garbage.h"
#include "decide/workload/job/decide_job.h"
#include "decide/workload/jobset/children.h"
#include "decide/workload/jobset/decide_jobset.h"
#include "decide/workload/test_cluster.h"

namespace pelton::decide::workload {
namespace {

using base::Json;

class LaggingJobSet {
 public:
  LaggingJobSet(int64_t replicas, int64_t pods, int64_t max_restarts, bool is_blocking)
      : view_(cluster_) {
    const Json job_spec = Json::object({{"completionMode", "Indexed"},
                                        {"completions", pods},
                                        {"parallelism", pods},
                                        {"backoffLimit", 0}});
    cluster_.create(Json::object(
        {{"apiVersion", "jobset.x-k8s.io/v1alpha2"},
         {"kind", "JobSet"},
         {"metadata", Json::object({{"name", "js"}, {"namespace", "default"}})},
         {"spec",
          Json::object(
              {{"failurePolicy",
                Json::object({{"maxRestarts", max_restarts},
                              {"restartStrategy", is_blocking ? "BlockingRecreate" : "Recreate"}})},
               {"replicatedJobs", Json::array({Json::object(
                                      {{"name", "w"},
                                       {"replicas", replicas},
                                       {"template", Json::object({{"spec", job_spec}})}})})}})}}));
    options_.backoff_base = base::Duration();
  }

  Json& jobset() { return *cluster_.find("JobSet", "js"); }
  std::string ended() {
    return api::is_condition_true(jobset(), "Completed") ? "Completed"
           : api::is_condition_true(jobset(), "Failed")  ? "Failed"
                                                         : "";
  }

  /// One controller looks at everything that concerns it. Whether anybody wanted anything.
  bool look(int who, size_t lag, size_t budget) {
    for (const char* kind : {"JobSet", "Job", "Pod", "Service"}) advance(kind, lag);
    bool acted = false;
    if (who == 0) acted |= execute(decide_jobset_from_view(), budget);
    const Objects seen = view_.objects();
    for (const auto& [key, object] : seen) {
      if (who == 1 && std::get<0>(key) == "Job") {
        JobObserved observed{&object, pods_of(object)};
        acted |= execute(decide_job(observed, options_, cluster_.now), budget);
      } else if (who == 2) {
        acted |= execute(decide_garbage_from_view(object), budget);
      }
    }
    check();
    return acted;
  }

  /// A pod starts, ends well (what = 0) or badly, or ends because it was asked to go.
  bool happen(size_t which, int what) {
    std::vector<ClusterKey> live;
    for (const auto& [key, object] : cluster_.objects) {
      if (std::get<0>(key) == "Pod" && !TestCluster::has_ended(object)) live.push_back(key);
    }
    if (live.empty()) return false;
    const ClusterKey key = live[which % live.size()];
    const Json& pod = cluster_.objects.at(key);
    cluster_.now = cluster_.now + base::Duration::seconds(1);
    if (pod["spec"]["nodeName"].as_string().empty()) {
      cluster_.run_pod(key);
    } else if (api::is_being_deleted(pod)) {
      cluster_.end_pod(key, 143);
    } else {
      cluster_.end_pod(key, what);
      failures_ += what;
    }
    check();
    return true;
  }

 private:
  std::vector<const Json*> pods_of(const Json& job) {
    return view_.owned_by("Pod", api::uid_of(job));
  }

  Decision decide_jobset_from_view() {
    JobSetObserved observed;
    observed.jobset = view_.find("JobSet", "js");
    if (observed.jobset == nullptr) return {};
    observed.jobs = view_.owned_by("Job", api::uid_of(*observed.jobset));
    observed.has_service = view_.find("Service", "js") != nullptr;
    return decide_jobset(observed, cluster_.now);
  }

  Decision decide_garbage_from_view(const Json& object) {
    GarbageObserved observed;
    observed.object = &object;
    for (const Json& reference : object["metadata"]["ownerReferences"].items()) {
      const Json* owner = view_.find(reference["kind"].as_string(), reference["name"].as_string());
      const bool is_it = owner != nullptr && api::uid_of(*owner) == reference["uid"].as_string();
      observed.owners.push_back(!is_it ? OwnerState::Gone
                                : api::has_finalizer(*owner, kForegroundDeletion)
                                    ? OwnerState::WaitsForDependents
                                    : OwnerState::Present);
    }
    observed.dependents = view_.owned_by("", api::uid_of(object));
    return decide_garbage(observed);
  }

  bool execute(const Decision& decision, size_t& budget) {
    for (const Action& action : decision.actions) {
      if (budget == 0) {
        is_restarted_ = true;
        break;
      }
      --budget;
      if (!cluster_.apply(action)) break;
      own_writes_ = cluster_.history.size();
    }
    return !decision.actions.empty();
  }

  /// One process holds all controllers here, so that all see what any of them has written. That is
  /// more than the driver promises; what it does not show is covered by names and preconditions.
  void advance(const std::string& kind, size_t lag) {
    size_t end = cluster_.history.size() - std::min(lag, cluster_.history.size());
    if (is_restarted_) end = cluster_.history.size();
    view_.advance(kind, std::max({end, view_.seen(kind), own_writes_}));
    if (kind == "Service") is_restarted_ = false;
  }

  /// Pods that share a hostname never live at the same time, whatever their attempts; restarts are
  /// what the durable counter says, and the counter never exceeds the maximum.
  void check() {
    std::set<std::string> hosts;
    for (const auto& [key, object] : cluster_.objects) {
      if (std::get<0>(key) != "Pod" || TestCluster::has_ended(object)) continue;
      RC_ASSERT(hosts.insert(object["spec"]["hostname"].as_string()).second);
    }
    const Json& status = jobset()["status"];
    RC_ASSERT(status["restarts"].as_int() >= last_restarts_);
    RC_ASSERT(status["restarts"].as_int() <= last_restarts_ + 1);
    RC_ASSERT(status["restarts"].as_int() <=
              jobset()["spec"]["failurePolicy"]["maxRestarts"].as_int());
    last_restarts_ = status["restarts"].as_int();
    RC_ASSERT(last_restarts_ <= failures_);
  }

  TestCluster cluster_;
  TestView view_;
  JobOptions options_;
  size_t own_writes_ = 0;
  int64_t last_restarts_ = 0, failures_ = 0;
  bool is_restarted_ = false;
};

TEST(JobSetProperty, ends_right_and_takes_no_place_twice_under_any_lag_and_crash) {
  EXPECT_TRUE(rc::check([] {
    const auto max_restarts = *rc::gen::inRange<int64_t>(0, 4);
    LaggingJobSet world(*rc::gen::inRange<int64_t>(1, 4), *rc::gen::inRange<int64_t>(1, 4),
                        max_restarts, *rc::gen::arbitrary<bool>());
    const auto steps = *rc::gen::container<std::vector<std::tuple<int, int, int, int>>>(
        rc::gen::tuple(rc::gen::inRange(0, 8), rc::gen::inRange(0, 15), rc::gen::inRange(0, 20),
                       rc::gen::inRange(0, 12)));
    size_t turn = 0;
    for (const auto& [what, a, b, c] : steps) {
      if (what < 2) {
        world.happen(static_cast<size_t>(a), what);
      } else {
        world.look(what % 3, static_cast<size_t>(b), c < 8 ? static_cast<size_t>(c) : 1000);
      }
    }
    // From here on nothing fails any more: it completes, or it had already used up its restarts.
    for (int i = 0; i < 400 && world.ended().empty(); ++i) {
      bool acted = false;
      for (int who : {0, 1, 2}) acted |= world.look(who, 0, 1000);
      if (!acted) world.happen(++turn, 0);
    }
    RC_ASSERT(!world.ended().empty());
    if (world.ended() == "Failed") {
      RC_ASSERT(world.jobset()["status"]["restarts"].as_int() == max_restarts);
    }
  }));
}

}  // namespace
}  // namespace pelton::decide::workload
