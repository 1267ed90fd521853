// SPDX-License-Identifier: Apache-2.0
#include "decide/placement/decide_placement.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "decide/placement/pack.h"
#include "decide/placement/room.h"
#include "decide/placement/search.h"

namespace pelton::decide::placement {
namespace {

/// What is placed together.
struct Unit {
  Pods pods;
  const Gang* gang = nullptr;  ///< null: the pod joins, or is, on its own
  bool is_recorded = false;    ///< a plan was written down and partly carried out
  int64_t priority = 0;
  base::Instant created;
  std::string waits_for;  ///< not empty: not to be placed yet, and why

  /// Sooner first; the name of the first pod is the last word.
  auto order() const {
    return std::tuple(!is_recorded, -priority, created, pods.front()->namespace_name,
                      pods.front()->name);
  }
};

/// What the pods of a gang's Jobs that have not started wait for; "" where they are complete.
std::string missing_part(const Gang& gang, const Pods& pods) {
  const std::string who = "gang " + gang.name;
  if (gang.is_outdated) return who + ": a later attempt of the JobSet has begun";
  if (gang.existing_jobs < gang.expected_jobs) {
    return who + " waits for its Jobs: " + std::to_string(gang.existing_jobs) + " of " +
           std::to_string(gang.expected_jobs) + " exist";
  }
  std::map<std::string, int64_t> present;
  for (const Pod* pod : pods) {
    if (!gang.jobs.contains(pod->job_uid)) return who + ": the Job of this pod is not of it";
    ++present[pod->job_uid];
  }
  int64_t expected = 0, existing = 0;
  bool is_short = false;
  for (const auto& [uid, job] : gang.jobs) {
    if (job.is_started) continue;
    expected += job.expected_pods;
    existing += std::min(present[uid], job.expected_pods);
    is_short |= present[uid] < job.expected_pods;
  }
  if (is_short) {
    return who + " waits for its pods: " + std::to_string(existing) + " of " +
           std::to_string(expected) + " exist";
  }
  return "";
}

class Placer {
 public:
  explicit Placer(const Observed& observed)
      : observed_(observed), room_(observed), packer_(observed, room_) {}

  Decision run() {
    std::vector<Unit> units = make_units();
    std::sort(units.begin(), units.end(),
              [](const Unit& a, const Unit& b) { return a.order() < b.order(); });
    for (Unit& unit : units) decide(unit);
    std::sort(decision_.unplaced.begin(), decision_.unplaced.end(),
              [](const Unplaced& a, const Unplaced& b) {
                return std::tie(a.namespace_name, a.pod_name) <
                       std::tie(b.namespace_name, b.pod_name);
              });
    return std::move(decision_);
  }

 private:
  std::vector<Unit> make_units() const {
    std::vector<Unit> units;
    std::map<std::string, Unit> cohorts;  // by gang
    for (const Pod& pod : observed_.pending) {
      auto found = observed_.gangs.find(pod.gang);
      const Gang* gang = found == observed_.gangs.end() ? nullptr : &found->second;
      if (gang == nullptr || joins_alone(*gang, pod)) {
        Unit& unit = units.emplace_back();
        unit.pods = {&pod};
        unit.is_recorded = gang != nullptr && !pod.planned_node.empty();
        if (gang != nullptr && gang->is_outdated) unit.waits_for = missing_part(*gang, unit.pods);
        continue;
      }
      Unit& cohort = cohorts[pod.gang];
      cohort.gang = gang;
      cohort.pods.push_back(&pod);
      // One of them bound by a plan, the others not yet: the plan is finished first.
      cohort.is_recorded |= !pod.planned_node.empty() && has_started(*gang);
    }
    for (auto& [id, cohort] : cohorts) {
      cohort.waits_for = missing_part(*cohort.gang, cohort.pods);
      units.push_back(std::move(cohort));
    }
    for (Unit& unit : units) settle(unit);
    return units;
  }

  static bool has_started(const Gang& gang) {
    return std::any_of(gang.jobs.begin(), gang.jobs.end(),
                       [](const auto& job) { return job.second.is_started; });
  }

  static bool joins_alone(const Gang& gang, const Pod& pod) {
    auto job = gang.jobs.find(pod.job_uid);
    return job != gang.jobs.end() && job->second.is_started;
  }

  static void settle(Unit& unit) {
    unit.priority = unit.pods.front()->priority;
    unit.created = unit.pods.front()->created;
    for (const Pod* pod : unit.pods) {
      unit.priority = std::max(unit.priority, pod->priority);
      unit.created = std::min(unit.created, pod->created);
      if (pod->is_gated && unit.waits_for.empty()) {
        unit.waits_for = "pod " + pod->full_name() + " has scheduling gates";
      }
    }
  }

  void decide(Unit& unit) {
    if (!unit.waits_for.empty()) {
      Explanation why;
      why.context = unit.waits_for;
      why.is_waiting = true;
      why.total_nodes = static_cast<int64_t>(room_.node_count());
      return refuse(unit, why);
    }
    order_by_difficulty(unit.pods);
    Explanation why;
    const std::optional<NodeList> nodes = place(unit, why);
    if (!nodes) return refuse(unit, why);
    Placement placement;
    placement.namespace_name = unit.pods.front()->namespace_name;
    if (unit.gang != nullptr) {
      placement.gang = unit.gang->id;
      placement.gang_name = unit.gang->name;
    }
    for (size_t i = 0; i < unit.pods.size(); ++i) {
      const Pod& pod = *unit.pods[i];
      room_.take(pod, (*nodes)[i]);
      placement.bindings.push_back({pod.name, pod.uid, observed_.nodes[(*nodes)[i]].name});
    }
    std::sort(placement.bindings.begin(), placement.bindings.end(),
              [](const Binding& a, const Binding& b) { return a.pod_name < b.pod_name; });
    placement.reason = reason_of(unit);
    decision_.placements.push_back(std::move(placement));
  }

  static std::string reason_of(const Unit& unit) {
    if (unit.gang != nullptr) {
      return "all " + std::to_string(unit.pods.size()) + " pods of gang " + unit.gang->name +
             " fit";
    }
    const Pod& pod = *unit.pods.front();
    if (pod.gang.empty()) return "pod " + pod.full_name() + " fits";
    return "pod " + pod.full_name() + " joins its running gang";
  }

  void refuse(const Unit& unit, const Explanation& why) {
    for (const Pod* pod : unit.pods) {
      decision_.unplaced.push_back({pod->namespace_name, pod->name, pod->uid, why});
    }
  }

  /// Those with the fewest nodes to go to first, then the greediest; equal ones by name.
  void order_by_difficulty(Pods& pods) const {
    const auto difficulty = [&](const Pod* pod) {
      const Amounts& requests = observed_.shapes[pod->shape].requests;
      int64_t accelerators = 0;
      for (const auto& [resource, amount] : requests) {
        if (is_accelerator(resource)) accelerators += amount;
      }
      auto cpu = requests.find("cpu");
      return std::tuple(room_.candidates(pod->shape), -accelerators,
                        cpu == requests.end() ? 0 : -cpu->second, pod->shape, pod->namespace_name,
                        pod->name);
    };
    std::sort(pods.begin(), pods.end(),
              [&](const Pod* a, const Pod* b) { return difficulty(a) < difficulty(b); });
  }

  /// Leaves the room as it was; `why` is about the first pod that found no node.
  std::optional<NodeList> place(const Unit& unit, Explanation& why) {
    if (unit.pods.size() == 1) {
      const Pod& pod = *unit.pods.front();
      const auto node = room_.best_node(pod, room_.all_nodes());
      if (node) return NodeList{*node};
      why = room_.explain(pod);
      return std::nullopt;
    }
    if (auto nodes = packer_.place(unit.pods)) return nodes;
    if (auto nodes = search(observed_, room_, unit.pods)) return nodes;
    const Packer::Failure& failure = packer_.failure();
    why = failure.why;
    why.context = "gang " + unit.gang->name + ": " + std::to_string(failure.placed) + " of " +
                  std::to_string(unit.pods.size()) + " pods fit";
    if (!failure.topology.empty()) why.context += " (" + failure.topology + ")";
    why.context += ", then for pod " + failure.pod_name;
    return std::nullopt;
  }

  const Observed& observed_;
  Room room_;
  Packer packer_;
  Decision decision_;
};

}  // namespace

Decision decide_placement(const Observed& observed) {
  return Placer(observed).run();
}

}  // namespace pelton::decide::placement
