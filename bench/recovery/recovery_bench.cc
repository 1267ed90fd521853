// SPDX-License-Identifier: Apache-2.0
// How long one reconcile of a RecoveryPolicy takes, from the controllers' cache to the commands:
//   begin    all pods have joined: the first generation
//   report   one pod tells a further step: nothing is to be done
//   failure  a worker was killed: the next generation
// Each node bears one pod with one rank. The last column is the driver's other half: the listeners
// of the cache, and the writing of the status into it. Prints one table of processor time, median
// of several, one thread.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "api/object.h"
#include "base/strings.h"
#include "control/recovery_reconciler.h"
#include "decide/recovery/records.h"

namespace pelton::control {
namespace {

using base::Json;
namespace recovery = decide::recovery;

constexpr int kRounds = 5;

/// Of the processor: other work on the machine does not count.
double ms_of(const std::function<void()>& run) {
  const std::clock_t begin = std::clock();
  run();
  return 1e3 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

double median(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

class Fixture {
 public:
  explicit Fixture(int nodes) : nodes_(nodes), view_({"jobset.sigs.k8s.io/jobset-uid"}) {
    put(Json::object({{"kind", "RecoveryPolicy"},
                      {"metadata", meta("p", Json::object())},
                      {"spec", Json::object()}}));
    Json jobset = Json::object(
        {{"kind", "JobSet"},
         {"metadata", meta("js", Json::object({{"pelton.dev/recovery-policy", "p"}}))}});
    Json job = Json::object({{"name", "w"}});
    job.make("template.spec").set("parallelism", nodes);
    job.make("template.spec.template.spec").set("restartPolicy", "Never");
    jobset.make("spec").set("replicatedJobs", Json::array({std::move(job)}));
    put(std::move(jobset));
    for (int i = 0; i < nodes; ++i) {
      Json node = Json::object({{"kind", "Node"}});
      node.child("metadata") = Json::object({{"name", fmt::format("node-{:05}", i)}});
      api::set_condition(node, {"Ready", "True", "KubeletReady", ""}, now_);
      put(std::move(node));
      Json labels = Json::object({{"pelton.dev/recovery-policy", "p"},
                                  {"jobset.sigs.k8s.io/jobset-uid", "u-js"},
                                  {"jobset.sigs.k8s.io/restart-attempt", "0"}});
      Json pod = Json::object({{"kind", "Pod"}, {"metadata", meta(name_of(i), labels)}});
      pod.make("metadata.annotations")
          .set("batch.kubernetes.io/job-completion-index", std::to_string(i));
      pod.make("spec").set("nodeName", fmt::format("node-{:05}", i));
      pod.make("status").set("phase", "Running");
      put(std::move(pod));
    }
  }

  void report(int rank, const recovery::PodReport& report) {
    Json pod = *view_.get("Pod", "d", name_of(rank));
    api::set_condition(pod,
                       {recovery::kWorkersCondition, "True", recovery::stage_name(report.stage),
                        recovery::to_json(report).dump()},
                       now_);
    put(std::move(pod));
  }
  recovery::PodReport running(int rank, int64_t generation, int64_t step) const {
    recovery::PodReport report;
    report.generation = generation;
    report.parked = true;
    if (generation == 0) return report;
    report.stage = recovery::PodReport::Stage::Running;
    report.first_step = 0;
    report.last_step = step;
    report.first_step_at = report.last_step_at = now_;
    recovery::WorkerReport worker;
    worker.rank = rank;
    worker.state = recovery::WorkerState::Running;
    worker.step = step;
    worker.since = now_;
    report.workers.push_back(worker);
    return report;
  }

  Plan reconcile() { return reconciler_.reconcile({"d", "p"}, view_, now_); }
  void write(const Plan& plan) {
    if (plan.commands.empty()) return;
    if (const auto* update = std::get_if<UpdateStatus>(&plan.commands.front())) put(update->object);
  }
  void pass(base::Duration time) { now_ = now_ + time; }

 private:
  Json meta(const std::string& name, Json labels) const {
    return Json::object(
        {{"name", name}, {"namespace", "d"}, {"uid", "u-" + name}, {"labels", std::move(labels)}});
  }
  std::string name_of(int i) const { return fmt::format("js-w-0-{}-abcde", i); }
  void put(Json object) {
    object.child("metadata").set("resourceVersion", std::to_string(++revision_));
    view_.put(std::move(object));
  }

  int nodes_;
  client::Cache view_;
  RecoveryReconciler reconciler_;
  base::Instant now_ = base::Instant::from_unix_seconds(1'790'000'000);
  int64_t revision_ = 0;
};

void run(int nodes) {
  Fixture fixture(nodes);
  for (int i = 0; i < nodes; ++i) fixture.report(i, fixture.running(i, 0, -1));
  Plan plan;
  const double begin = ms_of([&] { plan = fixture.reconcile(); });
  const double writing = ms_of([&] { fixture.write(plan); });
  for (int i = 0; i < nodes; ++i) fixture.report(i, fixture.running(i, 1, 0));
  fixture.write(fixture.reconcile());
  std::vector<double> reports, failures;
  for (int round = 0; round < kRounds; ++round) {
    fixture.pass(base::Duration::seconds(1));
    fixture.report(round, fixture.running(round, 1, round + 1));
    reports.push_back(ms_of([&] { fixture.write(fixture.reconcile()); }));
  }
  for (int round = 0; round < kRounds; ++round) {
    fixture.pass(base::Duration::minutes(10));
    recovery::PodReport failed = fixture.running(nodes / 2, round + 1, 100 + round);
    failed.workers[0].state = recovery::WorkerState::Exited;
    failed.workers[0].cause = "SIGKILL";
    failed.workers[0].signal = 9;
    failed.stage = recovery::PodReport::Stage::Stopped;
    fixture.report(nodes / 2, failed);
    failures.push_back(ms_of([&] { plan = fixture.reconcile(); }));
    fixture.write(plan);
  }
  fmt::print("{:>8}{:>12.1f}{:>12.1f}{:>12.1f}{:>12.1f}\n", nodes, begin, median(reports),
             median(failures), writing);
}

}  // namespace
}  // namespace pelton::control

int main(int count, char** arguments) {
  fmt::print("{:>8}{:>12}{:>12}{:>12}{:>12}\n", "nodes", "begin ms", "report ms", "failure ms",
             "write ms");
  std::vector<int> sizes;
  for (int i = 1; i < count; ++i) {
    const auto size = pelton::base::parse_int(arguments[i]);
    if (size.ok() && *size > 0) sizes.push_back(static_cast<int>(*size));
  }
  if (sizes.empty()) sizes = {1'000, 10'000, 65'000};
  for (const int size : sizes) pelton::control::run(size);
  return 0;
}
