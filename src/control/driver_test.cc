// SPDX-License-Identifier: Apache-2.0
#include "control/driver.h"

#include <gtest/gtest.h>

#include "api/object.h"
#include "control/testing/fake_cluster.h"

namespace pelton::control {
namespace {

using base::Duration;
using base::Json;
using Fault = client::FakeServer::Fault;

/// Makes spec.parallelism pods for each Job, then says so in its status.
class PodMaker : public Reconciler {
 public:
  explicit PodMaker(bool has_derived_names = true) : has_derived_names_(has_derived_names) {}
  std::string_view name() const override { return "pod-maker"; }
  std::vector<std::string> watched_kinds() const override { return {"Job", "Pod"}; }
  Keys keys_of(const Json& object, const CacheView&) const override {
    return keys_of_self_or_controller(object, "Job");
  }
  Plan reconcile(const Key& key, const CacheView& view, base::Instant) const override {
    Plan plan;
    const Json* job = view.get("Job", key.namespace_name, key.name);
    if (job == nullptr) return plan;
    const auto pods = view.list_owned_by("Pod", api::uid_of(*job));
    const int64_t wanted = (*job)["spec"]["parallelism"].as_int();
    for (int64_t i = static_cast<int64_t>(pods.size()); i < wanted; ++i) {
      plan.commands.emplace_back(Create{pod_of(*job, i)});
    }
    if ((*job)["status"]["made"].as_int() != wanted) {
      Json next = *job;
      next.make("status.made") = wanted;
      plan.commands.emplace_back(UpdateStatus{std::move(next)});
    }
    plan.reason = "pods are missing";
    return plan;
  }

 private:
  Json pod_of(const Json& job, int64_t index) const {
    // Without derived names a decision on a stale view shows as a pod too many.
    const std::string suffix =
        has_derived_names_ ? std::to_string(index) : "x" + std::to_string(++unique_);
    Json pod = FakeCluster::object("v1", "Pod", api::name_of(job) + "-" + suffix);
    pod.child("metadata")
        .set("ownerReferences", Json::array({api::make_controller_reference(job)}));
    return pod;
  }
  bool has_derived_names_;
  static inline int unique_ = 0;
};

template <typename T, typename... Args>
FakeCluster::Make make_one(Args... args) {
  return [=] {
    std::vector<std::unique_ptr<Reconciler>> out;
    out.push_back(std::make_unique<T>(args...));
    return out;
  };
}

void put_job(FakeCluster& c, const std::string& name, int parallelism) {
  Json job = FakeCluster::object("batch/v1", "Job", name);
  job.make("spec.parallelism") = parallelism;
  c.server.put(FakeCluster::job_path(name), std::move(job));
}

bool is_made(FakeCluster& c, const std::string& job, int parallelism) {
  const Json* object = c.server.find(FakeCluster::job_path(job));
  return c.count(FakeCluster::pod_path(job + "-")) == parallelism &&
         (*object)["status"]["made"].as_int() == parallelism;
}

TEST(Driver, ExecutesCommandsInOrderAndComesToRest) {
  FakeCluster c(make_one<PodMaker>());
  put_job(c, "a", 3);
  c.start();
  c.loop.advance(Duration::seconds(1));
  EXPECT_EQ(c.server.log,
            (std::vector<std::string>{"POST /api/v1/namespaces/default/pods",
                                      "POST /api/v1/namespaces/default/pods",
                                      "POST /api/v1/namespaces/default/pods",
                                      "PUT /apis/batch/v1/namespaces/default/jobs/a/status"}));
  EXPECT_TRUE(c.controllers->driver.is_idle());
  const uint64_t reconciles = c.controllers->driver.reconciles();
  c.loop.advance(Duration::minutes(3));
  EXPECT_EQ(c.controllers->driver.reconciles(), reconciles);
}

TEST(Driver, StopsAtTheFirstFailureAndBacksOff) {
  FakeCluster c(make_one<PodMaker>());
  put_job(c, "a", 2);
  std::vector<Duration> attempts;
  c.server.on_write = [&](const net::Request& request) {
    if (request.method == "POST") attempts.push_back(c.loop.elapsed());
    return request.method == "POST" ? Fault::Refuse : Fault::None;
  };
  c.start();
  c.loop.advance(Duration::minutes(3));
  EXPECT_TRUE(c.server.log.empty()) << "nothing after the failed command";
  ASSERT_GT(attempts.size(), 8u);
  EXPECT_LT(attempts.size(), 25u);
  EXPECT_LT(attempts[1] - attempts[0], Duration::milliseconds(51));
  EXPECT_GE(attempts.back() - attempts[attempts.size() - 2], Duration::seconds(15));
  c.server.on_write = [](const net::Request&) { return Fault::None; };
  c.loop.advance(Duration::seconds(31));
  EXPECT_TRUE(is_made(c, "a", 2));
}

TEST(Driver, DoesNotDecideBeforeItSeesItsOwnWrites) {
  FakeCluster c(make_one<PodMaker>(false));
  put_job(c, "a", 3);
  c.start();
  c.loop.settle();
  c.server.are_watches_silent = true;
  put_job(c, "b", 3);
  c.server.are_watches_silent = false;
  c.server.flush();
  c.server.are_watches_silent = true;
  c.loop.settle();
  EXPECT_EQ(c.count(FakeCluster::pod_path("b-")), 3);
  // Somebody touches the Job; the cache knows of that, but not yet of the pods.
  const uint64_t reconciles = c.controllers->driver.reconciles();
  Json job = *c.server.find(FakeCluster::job_path("b"));
  job.child("metadata").set("resourceVersion", std::to_string(c.server.revision() + 1));
  c.controllers->cache.put(job);
  c.loop.advance(Duration::seconds(5));
  EXPECT_EQ(c.controllers->driver.reconciles(), reconciles);
  EXPECT_FALSE(c.controllers->driver.is_idle());
  c.server.are_watches_silent = false;
  c.server.flush();
  c.loop.advance(Duration::seconds(5));
  EXPECT_GT(c.controllers->driver.reconciles(), reconciles);
  EXPECT_EQ(c.count(FakeCluster::pod_path("b-")), 3);
}

TEST(Driver, GoesOnWhereTheCacheNeverShowsAWrite) {
  FakeCluster c(make_one<PodMaker>());
  put_job(c, "a", 1);
  c.start();
  c.loop.run_until([&] { return c.controllers->cache.is_synced("Pod"); });
  c.server.are_watches_silent = true;
  c.loop.advance(Duration::seconds(1));
  const uint64_t reconciles = c.controllers->driver.reconciles();
  Json job = *c.server.find(FakeCluster::job_path("a"));
  job.child("metadata").set("resourceVersion", std::to_string(c.server.revision() + 1));
  c.controllers->cache.put(job);
  c.loop.advance(Duration::seconds(20));
  EXPECT_EQ(c.controllers->driver.reconciles(), reconciles);
  c.loop.advance(Duration::seconds(11));
  EXPECT_GT(c.controllers->driver.reconciles(), reconciles);
}

TEST(Driver, AnUnknownOutcomeIsObservedBeforeTheNextDecision) {
  FakeCluster c(make_one<PodMaker>(false));
  int writes = 0;
  c.server.on_write = [&](const net::Request&) {
    return ++writes % 2 == 1 ? Fault::LoseAnswer : Fault::None;
  };
  put_job(c, "a", 3);
  c.start();
  c.loop.advance(Duration::minutes(2));
  EXPECT_TRUE(is_made(c, "a", 3)) << "lost answers made " << c.count(FakeCluster::pod_path("a-"))
                                  << " pods";
}

TEST(Driver, AConflictLeadsToAFresherView) {
  FakeCluster c(make_one<PodMaker>());
  put_job(c, "a", 1);
  c.start();
  c.loop.advance(Duration::seconds(1));
  // The Job changes twice; the first change is seen, the second is not yet.
  c.server.are_watches_silent = true;
  put_job(c, "a", 2);
  c.controllers->cache.put(*c.server.find(FakeCluster::job_path("a")));
  put_job(c, "a", 3);
  c.loop.advance(Duration::seconds(1));
  EXPECT_EQ(c.count(FakeCluster::pod_path("a-")), 2);
  c.server.are_watches_silent = false;
  c.server.flush();
  c.loop.advance(Duration::seconds(1));
  EXPECT_TRUE(is_made(c, "a", 3));
}

/// Bumps a counter in each Job every ten seconds, slowly.
class Ticker final : public Reconciler {
 public:
  std::string_view name() const override { return "ticker"; }
  std::vector<std::string> watched_kinds() const override { return {"Job"}; }
  Keys keys_of(const Json& object, const CacheView&) const override { return {own_key(object)}; }
  Plan reconcile(const Key& key, const CacheView& view, base::Instant now) const override {
    Plan plan;
    const Json* job = view.get("Job", key.namespace_name, key.name);
    if (job == nullptr) return plan;
    plan.requeue_after = Duration::seconds(10);
    const int64_t last = (*job)["status"]["tick"].as_int();
    if (now.unix_seconds() - last < 10) {
      plan.requeue_after = Duration::seconds(10 - (now.unix_seconds() - last));
      return plan;
    }
    Json next = *job;
    next.make("status.tick") = now.unix_seconds();
    plan.commands.emplace_back(UpdateStatus{std::move(next)});
    return plan;
  }
};

TEST(Driver, RequeuesAfterTheTimeAskedFor) {
  FakeCluster c(make_one<Ticker>());
  put_job(c, "a", 1);
  c.start();
  c.loop.advance(Duration::seconds(95));
  EXPECT_EQ(c.count_writes("PUT"), 10);
}

TEST(Driver, AKeyIsNeverInWorkTwice) {
  FakeCluster c(make_one<PodMaker>(false));
  put_job(c, "a", 4);
  int in_work = 0, most = 0;
  // Every write takes effect at once, while changes of the Job keep arriving.
  c.server.on_write = [&](const net::Request& request) {
    most = std::max(most, ++in_work);
    Json job = *c.server.find(FakeCluster::job_path("a"));
    if (request.method == "POST") job.make("metadata.annotations.touched") = most;
    c.server.put(FakeCluster::job_path("a"), job);
    --in_work;
    return Fault::None;
  };
  c.start();
  c.loop.advance(Duration::minutes(1));
  EXPECT_EQ(c.count(FakeCluster::pod_path("a-")), 4);
}

/// Says something about each Job, always the same.
class Talker final : public Reconciler {
 public:
  std::string_view name() const override { return "talker"; }
  std::vector<std::string> watched_kinds() const override { return {"Job"}; }
  Keys keys_of(const Json& object, const CacheView&) const override { return {own_key(object)}; }
  Plan reconcile(const Key& key, const CacheView& view, base::Instant) const override {
    Plan plan;
    const Json* job = view.get("Job", key.namespace_name, key.name);
    if (job == nullptr) return plan;
    plan.commands.emplace_back(
        EmitEvent{api::make_object_reference(*job), true, "Hello", "hello from here"});
    return plan;
  }
};

TEST(Driver, EqualEventsAreCountedInOneObject) {
  FakeCluster c(make_one<Talker>());
  put_job(c, "a", 1);
  c.start();
  for (int i = 0; i < 3; ++i) {
    c.loop.advance(Duration::seconds(1));
    Json job = *c.server.find(FakeCluster::job_path("a"));
    job.make("spec.touched") = i;
    c.server.put(FakeCluster::job_path("a"), job);
  }
  c.loop.advance(Duration::seconds(1));
  const std::string prefix = "/api/v1/namespaces/default/events/a.";
  ASSERT_EQ(c.count(prefix), 1);
  const Json& event = c.server.objects().lower_bound(prefix)->second;
  EXPECT_EQ(event["count"].as_int(), 4);
  EXPECT_EQ(event["reason"].as_string(), "Hello");
  EXPECT_EQ(event["type"].as_string(), "Warning");
  EXPECT_EQ(event["involvedObject"]["name"].as_string(), "a");
  EXPECT_EQ(event["source"]["component"].as_string(), "talker");
}

TEST(Driver, AFailingEventStopsNothing) {
  FakeCluster c(make_one<Talker>());
  c.server.on_write = [](const net::Request&) { return Fault::Refuse; };
  put_job(c, "a", 1);
  c.start();
  c.loop.advance(Duration::seconds(10));
  EXPECT_EQ(c.controllers->driver.reconciles(), 1u);
}

TEST(DriverCrash, BetweenAnyTwoCommandsConverges) {
  constexpr int kPods = 4;
  for (const Fault fault : {Fault::LoseRequest, Fault::LoseAnswer}) {
    for (int crash_at = 1; crash_at <= kPods + 1; ++crash_at) {
      SCOPED_TRACE("crash at write " + std::to_string(crash_at));
      FakeCluster c(make_one<PodMaker>());
      put_job(c, "a", kPods);
      int writes = 0;
      c.server.on_write = [&](const net::Request&) {
        return ++writes == crash_at ? fault : Fault::None;
      };
      c.start();
      c.loop.run_until([&] { return writes == crash_at; });
      c.crash();
      c.loop.advance(Duration::seconds(5));
      EXPECT_FALSE(is_made(c, "a", kPods) && fault == Fault::LoseRequest);
      c.start();
      c.loop.advance(Duration::seconds(5));
      EXPECT_TRUE(is_made(c, "a", kPods));
    }
  }
}

TEST(DriverCrash, RandomFaultsAndCrashesConvergeWithoutDuplicates) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Rng rng(seed);
    FakeCluster c(make_one<PodMaker>(), {.max_in_flight = 2});
    c.server.on_write = [&](const net::Request&) {
      const uint64_t dice = rng.below(10);
      return dice == 0   ? Fault::Refuse
             : dice == 1 ? Fault::LoseRequest
             : dice == 2 ? Fault::LoseAnswer
                         : Fault::None;
    };
    c.start();
    for (int i = 0; i < 60; ++i) {
      if (rng.chance(0.2)) put_job(c, "j" + std::to_string(rng.below(4)), 3);
      if (rng.chance(0.1)) c.server.break_watches();
      if (rng.chance(0.1)) c.server.are_watches_silent = !c.server.are_watches_silent;
      if (rng.chance(0.1)) c.crash(), c.start();
      c.loop.advance(Duration::milliseconds(rng.between(0, 300)));
    }
    c.server.are_watches_silent = false;
    c.server.flush();
    c.server.on_write = [](const net::Request&) { return Fault::None; };
    c.loop.advance(Duration::minutes(2));
    for (int j = 0; j < 4; ++j) {
      const std::string job = "j" + std::to_string(j);
      if (c.server.find(FakeCluster::job_path(job)) == nullptr) continue;
      EXPECT_TRUE(is_made(c, job, 3)) << job;
    }
    EXPECT_TRUE(c.controllers->driver.is_idle());
  }
}

}  // namespace
}  // namespace pelton::control
