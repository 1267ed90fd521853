// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/ladder.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "decide/recovery/costs.h"
#include "decide/recovery/membership.h"

namespace pelton::decide::recovery {
namespace {

using base::Instant;

class Ladder {
 public:
  Ladder(const Observed& observed, const Trouble& trouble, Instant now)
      : observed_(observed),
        trouble_(trouble),
        now_(now),
        worlds_(worlds_of(observed)),
        world_(ranks_of(trouble.old)),
        without_(trouble.lost),
        spares_(spares_of(observed, {})) {
    without_.insert(trouble.suspects.begin(), trouble.suspects.end());
  }

  std::vector<Plan> price() {
    std::vector<Plan> plans;
    if (trouble_.is_running) {
      plans.push_back(restart_in_place());
      plans.push_back(restart_pod());
      plans.push_back(swap_spare());
    }
    plans.push_back(narrow(Rung::Shrink));
    plans.push_back(narrow(Rung::ChangeMesh));
    plans.push_back(wait());
    return plans;
  }

 private:
  Plan plan_of(Rung rung, double seconds, std::string source) const {
    Plan plan;
    plan.alternative = {rung, true, seconds * world_, std::move(source)};
    if (rung == Rung::Wait) return plan;
    if (!observed_.policy.rungs.contains(rung)) {
      refuse(plan, "spec.rungs of the policy does not list it");
    } else if (!trouble_.fence.empty()) {
      refuse(plan, trouble_.fence);
    } else if (trouble_.tried.contains(rung)) {
      refuse(plan, "the same failure came again after it");
    }
    return plan;
  }

  static void refuse(Plan& plan, std::string why) {
    if (!plan.alternative.possible) return;
    plan.alternative.possible = false;
    plan.alternative.why = std::move(why);
  }

  std::string name_of(const std::string& uid) const {
    for (const Member& member : trouble_.old) {
      if (member.pod_uid == uid) return member.pod;
    }
    return uid;
  }

  bool may_replace(size_t pods) const {
    return replaced_in_window(observed_, now_) + static_cast<int>(pods) <=
           observed_.policy.budget.pod_replacements;
  }

  /// Suspects are deleted, where that is allowed, so that their Jobs make others.
  std::set<std::string> repaired_in_background() const {
    const bool may = may_replace(trouble_.suspects.size()) &&
                     !observed_.off.contains(Rung::RestartPod) &&
                     observed_.policy.rungs.contains(Rung::RestartPod);
    return may ? trouble_.suspects : std::set<std::string>();
  }

  Plan restart_in_place() const {
    const Seconds time = recovery_time(observed_.record, Rung::RestartInPlace, true);
    Plan plan = plan_of(Rung::RestartInPlace, time.value, time.source);
    plan.members = trouble_.old;
    if (!trouble_.lost.empty()) {
      refuse(plan, "pod " + name_of(*trouble_.lost.begin()) + " is lost");
    }
    std::map<std::string_view, const PodFacts*> refused;
    for (const PodFacts& pod : observed_.pods) {
      if (pod.report.stage == PodReport::Stage::Refused) refused.emplace(pod.uid, &pod);
    }
    for (const Member& member : trouble_.old) {
      if (const auto pod = refused.find(member.pod_uid); pod != refused.end()) {
        refuse(plan, "pod " + member.pod + " refused to follow: " + pod->second->report.detail);
      }
      if (trouble_.without_network.contains(member.pod_uid)) {
        refuse(plan, "pod " + member.pod + " has no network");
      }
      const auto node = observed_.nodes.find(member.node);
      if (node != observed_.nodes.end() && node->second.is_quarantined) {
        refuse(plan, "node " + member.node + " is quarantined");
      }
    }
    return plan;
  }

  Plan restart_pod() const {
    const Seconds time = recovery_time(observed_.record, Rung::RestartPod, false);
    Plan plan = plan_of(Rung::RestartPod, time.value, time.source);
    plan.members = trouble_.old;
    plan.runs = false;
    plan.replace = trouble_.suspects;
    if (const auto off = observed_.off.find(Rung::RestartPod); off != observed_.off.end()) {
      refuse(plan, off->second);
    }
    if (trouble_.suspects.empty()) refuse(plan, "no pod is left that could be restarted");
    if (!trouble_.lost.empty()) {
      refuse(plan, "pod " + name_of(*trouble_.lost.begin()) + " is lost: its Job makes another");
    }
    if (!may_replace(trouble_.suspects.size())) {
      refuse(plan, fmt::format("the budget of {} pod replacements per window is spent",
                               observed_.policy.budget.pod_replacements));
    }
    return plan;
  }

  Plan swap_spare() const {
    const size_t needed = without_.size();
    std::set<std::string_view> parked;
    for (const PodFacts& pod : observed_.pods) {
      if (!spares_.empty() && pod.report.parked) parked.insert(pod.uid);
    }
    const bool is_warm =
        spares_.size() >= needed &&
        std::all_of(spares_.begin(), spares_.begin() + static_cast<ptrdiff_t>(needed),
                    [&](const Member& spare) { return parked.contains(spare.pod_uid); });
    const Seconds time = recovery_time(observed_.record, Rung::SwapSpare, is_warm);
    Plan plan = plan_of(Rung::SwapSpare, time.value, time.source);
    plan.members =
        compose(trouble_.old, without_, spares_, observed_.policy.ranks_per_replica, world_);
    plan.replace = repaired_in_background();
    if (plan.members.empty()) {
      refuse(plan, fmt::format("{} spare{} joined, {} needed", spares_.size(),
                               spares_.size() == 1 ? " has" : "s have", needed));
    }
    return plan;
  }

  bool is_whole(int world) const {
    const Policy& policy = observed_.policy;
    return std::none_of(policy.meshes.begin(), policy.meshes.end(),
                        [&](const Mesh& mesh) { return mesh.ranks == world; });
  }

  /// The largest smaller world: by whole replicas, or a mesh that is declared.
  Plan narrow(Rung rung) const {
    const Seconds back = time_until_back();
    const Seconds down = recovery_time(observed_.record, rung, true);
    const Seconds up = recovery_time(observed_.record, Rung::Grow, true);
    const int at_hand = ranks_at_hand(trouble_.old, without_, spares_);
    std::vector<Member> members;
    for (const int world : worlds_.all) {
      if (world >= world_ || world > at_hand || is_whole(world) != (rung == Rung::Shrink)) continue;
      members = compose(trouble_.old, without_, spares_, observed_.policy.ranks_per_replica, world);
      if (!members.empty()) break;
    }
    const int ranks = ranks_of(members);
    const double missing = static_cast<double>(world_ - ranks) / std::max(world_, 1);
    Plan plan = plan_of(rung, down.value + missing * back.value + up.value,
                        fmt::format("to {} ranks; down and up again ({}); narrower until a pod is "
                                    "back ({})",
                                    ranks, down.source, back.source));
    plan.members = std::move(members);
    plan.replace = repaired_in_background();
    if (plan.members.empty()) refuse(plan, no_world(rung));
    return plan;
  }

  std::string no_world(Rung rung) const {
    int least = 0;
    for (const int world : worlds_.all) {
      if (world < world_ && is_whole(world) == (rung == Rung::Shrink)) least = world;
    }
    const char* form = rung == Rung::Shrink ? "number of whole replicas" : "declared mesh";
    if (least == 0) return fmt::format("the policy allows no smaller {}", form);
    return fmt::format("the smallest {} needs {} ranks, which are not there", form, least);
  }

  Plan wait() const {
    const Seconds back = time_until_back();
    Plan plan = plan_of(Rung::Wait, back.value, back.source);
    plan.members = trouble_.old;
    plan.runs = false;
    if (trouble_.fence.empty()) plan.replace = repaired_in_background();
    const bool may_help = !trouble_.lost.empty() || !trouble_.fence.empty() || !trouble_.is_running;
    if (!may_help) refuse(plan, "no pod is missing: waiting changes nothing");
    return plan;
  }

  /// A pod that no node has room for comes when a machine is repaired, or when the one comes that
  /// was asked for; another soon. What has been waited for in vain may be expected to take as long
  /// again.
  Seconds time_until_back() const {
    std::string machine;
    for (const PodFacts& pod : observed_.pods) {
      if (pod.is_unschedulable) return repair_time();
      if (!pod.expected_node.empty()) machine = pod.expected_node;
    }
    Seconds time = waiting_time(observed_.record, !machine.empty());
    if (!machine.empty()) time.source = machine + " was asked for; " + time.source;
    if (trouble_.is_running) return time;
    const double waited = (now_ - observed_.record.generation.began).to_seconds();
    if (waited > time.value) time = {waited, fmt::format("it has taken {:.0f} s already", waited)};
    return time;
  }

  const Observed& observed_;
  const Trouble& trouble_;
  const Instant now_;
  const Worlds worlds_;
  const int world_;
  std::set<std::string> without_;
  const std::vector<Member> spares_;
};

int ranks_per_pod(const Observed& observed) {
  const std::vector<Member>& members = observed.record.generation.members;
  if (!members.empty()) return members.front().ranks;
  int ranks = 1;
  for (const PodFacts& pod : observed.pods) {
    if (pod.has_joined) ranks = std::max(ranks, pod.report.ranks);
  }
  return ranks;
}

}  // namespace

Worlds worlds_of(const Observed& observed) {
  Worlds worlds;
  worlds.per_pod = ranks_per_pod(observed);
  worlds.all =
      allowed_worlds(observed.policy, observed.wanted_pods * worlds.per_pod, worlds.per_pod);
  return worlds;
}

int pods_on_the_way(const Observed& observed) {
  const int per_pod = ranks_per_pod(observed);
  int settled = 0;
  for (const PodFacts& pod : observed.pods) {
    if (pod.has_ended || pod.is_leaving) continue;
    if (pod.has_joined || pod.is_unschedulable) settled += std::max(pod.report.ranks / per_pod, 1);
  }
  return std::max(observed.wanted_pods - settled, 0);
}

std::vector<Plan> price_ladder(const Observed& observed, const Trouble& trouble, Instant now) {
  return Ladder(observed, trouble, now).price();
}

const Plan* cheapest(const std::vector<Plan>& plans) {
  const Plan* best = nullptr;
  for (const Plan& plan : plans) {
    if (!plan.alternative.possible) continue;
    if (best == nullptr ||
        plan.alternative.lost_accelerator_seconds < best->alternative.lost_accelerator_seconds) {
      best = &plan;
    }
  }
  return best;
}

int replaced_in_window(const Observed& observed, Instant now) {
  const Instant from = now - observed.policy.budget.window;
  const auto& replaced = observed.record.replaced;
  return static_cast<int>(std::count_if(replaced.begin(), replaced.end(), [&](const auto& each) {
    return !each.force && each.at > from;
  }));
}

int begun_in_window(const Observed& observed, Instant now) {
  const Instant from = now - observed.policy.budget.window;
  const Generation& current = observed.record.generation;
  int count = current.phase == Generation::Phase::Running && current.began > from ? 1 : 0;
  for (const PastGeneration& past : observed.record.history) {
    if (past.phase == Generation::Phase::Running && past.began > from) {
      count += static_cast<int>(std::max<int64_t>(past.folded, 1));
    }
  }
  return count;
}

}  // namespace pelton::decide::recovery
