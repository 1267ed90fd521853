// SPDX-License-Identifier: Apache-2.0
// How long one scheduling decision takes: gangs of 256 pods on 1,000 nodes.
//
// The nodes stand in 4 zones, 25 racks and 50 node pools, half of them in use by bound pods. Each
// row is the median of several decisions, from objects to bindings (observe) and from the
// observation alone (decide). Prints one table.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "decide/placement/decide_placement.h"
#include "os/clock.h"

namespace pelton::decide::placement {
namespace {

using base::Json;

constexpr int kNodes = 1000;
constexpr int kPods = 256;
constexpr int kRounds = 9;

struct Case {
  const char* name;
  int jobs;
  void (*vary)(Json& pod, int job);
};

Json map(const char* key, const std::string& value) {
  return Json::object({{key, value}});
}

class Fixture {
 public:
  explicit Fixture(const Case& one) {
    for (int n = 0; n < kNodes; ++n) add_node(n);
    for (int n = 0; n < kNodes; n += 2) {
      add_pod("bound-" + std::to_string(n), 2).child("spec").set("nodeName", node_name(n));
    }
    jobset_ = Json::object({{"kind", "JobSet"}});
    jobset_.child("metadata") = Json::object({{"name", "g"}, {"namespace", "d"}, {"uid", "js"}});
    jobset_.make("spec").set("replicatedJobs",
                             Json::array({Json::object({{"name", "w"}, {"replicas", one.jobs}})}));
    for (int j = 0; j < one.jobs; ++j) add_job(one, j);
  }
  World world() const { return {list(nodes_), list(pods_), list(jobs_), {&jobset_}, {}}; }

 private:
  static std::string node_name(int n) { return fmt::format("node-{:04}", n); }
  static Objects list(const std::list<Json>& from) {
    Objects out;
    for (const Json& object : from) out.push_back(&object);
    return out;
  }
  void add_node(int n) {
    Json& node = nodes_.emplace_back(Json::object({{"kind", "Node"}}));
    Json& labels = node.make("metadata.labels");
    labels = map("kubernetes.io/hostname", node_name(n));
    labels.set("topology.kubernetes.io/zone", std::to_string(n / 250));
    labels.set("pelton.dev/rack", std::to_string(n / 40));
    labels.set("cloud.google.com/gke-nodepool", std::to_string(n / 20));
    node.child("metadata").set("name", node_name(n));
    node.make("status").set(
        "allocatable", Json::object({{"cpu", "64"}, {"memory", "256Gi"}, {"google.com/tpu", "4"}}));
  }
  Json& add_pod(const std::string& name, int tpus) {
    Json& pod = pods_.emplace_back(Json::object({{"kind", "Pod"}}));
    pod.child("metadata") = Json::object({{"name", name}, {"namespace", "d"}, {"uid", name}});
    Json container = Json::object({{"name", "c"}});
    container.make("resources.requests") =
        Json::object({{"cpu", "8"}, {"google.com/tpu", std::to_string(tpus)}});
    pod.make("spec").set("containers", Json::array({std::move(container)}));
    return pod;
  }
  void add_job(const Case& one, int j) {
    const int size = kPods / one.jobs;
    const std::string uid = "job-" + std::to_string(j);
    Json labels = Json::object({{kJobSetUidLabel, "js"},
                                {kJobSetNameLabel, "g"},
                                {kReplicatedJobLabel, "w"},
                                {kRestartAttemptLabel, "0"},
                                {kJobKeyLabel, uid},
                                {"app", "train"}});
    Json& job = jobs_.emplace_back(Json::object({{"kind", "Job"}}));
    job.child("metadata") =
        Json::object({{"name", uid}, {"namespace", "d"}, {"uid", uid}, {"labels", labels}});
    job.make("spec").set("parallelism", size);
    for (int i = 0; i < size; ++i) {
      Json& pod = add_pod(fmt::format("g-{}-{}", j, i), 4);
      labels.set("batch.kubernetes.io/job-completion-index", std::to_string(i));
      pod.child("metadata").set("labels", labels);
      pod.child("metadata")
          .set("ownerReferences",
               Json::array({Json::object({{"uid", uid}, {"controller", true}})}));
      one.vary(pod, j);
    }
  }

  std::list<Json> nodes_, pods_, jobs_;
  Json jobset_;
};

void annotate(Json& pod, const char* key, const char* value) {
  pod.make("metadata.annotations").set(key, value);
}

const Case kCases[] = {
    {"plain, packed by zone, rack and pool", 1, [](Json&, int) {}},
    {"two shapes", 2,
     [](Json& pod, int job) {
       if (job == 1) pod.child("spec").set("nodeSelector", map("topology.kubernetes.io/zone", "2"));
     }},
    {"32 Jobs, a pool each (exclusive)", 32,
     [](Json& pod, int) { annotate(pod, kExclusiveTopology, "cloud.google.com/gke-nodepool"); }},
    {"spread over racks (maxSkew 4)", 1,
     [](Json& pod, int) {
       Json spread = Json::object({{"topologyKey", "pelton.dev/rack"},
                                   {"maxSkew", 4},
                                   {"whenUnsatisfiable", "DoNotSchedule"}});
       spread.make("labelSelector").set("matchLabels", map("app", "train"));
       pod.child("spec").set("topologySpreadConstraints", Json::array({std::move(spread)}));
     }},
    {"one per node (anti-affinity)", 1,
     [](Json& pod, int) {
       Json term = map("topologyKey", "kubernetes.io/hostname");
       term.make("labelSelector").set("matchLabels", map("app", "train"));
       pod.make("spec.affinity.podAntiAffinity")
           .set("requiredDuringSchedulingIgnoredDuringExecution", Json::array({std::move(term)}));
     }},
    {"does not fit: one zone of 125 free nodes", 1,
     [](Json& pod, int) { annotate(pod, kRequiredTopology, "topology.kubernetes.io/zone"); }},
};

double median_ms(const std::function<void()>& run) {
  os::OsClock clock;
  std::vector<double> times;
  for (int i = 0; i < kRounds; ++i) {
    const base::Duration begin = clock.elapsed();
    run();
    times.push_back((clock.elapsed() - begin).to_seconds() * 1e3);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

void run_all() {
  fmt::print("a gang of {} pods on {} nodes, median of {}\n", kPods, kNodes, kRounds);
  fmt::print("{:<44}{:>12}{:>12}{:>10}\n", "", "observe ms", "decide ms", "bound");
  for (const Case& one : kCases) {
    const Fixture objects(one);
    const World world = objects.world();
    const Observed observed = observe(world);
    size_t bound = 0;
    const double observing = median_ms([&] { observe(world); });
    const double deciding = median_ms([&] {
      const Decision decision = decide_placement(observed);
      bound = decision.placements.empty() ? 0 : decision.placements.front().bindings.size();
    });
    fmt::print("{:<44}{:>12.1f}{:>12.1f}{:>10}\n", one.name, observing, deciding, bound);
  }
}

}  // namespace
}  // namespace pelton::decide::placement

int main() {
  pelton::decide::placement::run_all();
  return 0;
}
