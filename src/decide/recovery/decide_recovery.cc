// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/decide_recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "decide/recovery/costs.h"
#include "decide/recovery/evidence.h"
#include "decide/recovery/failure_count.h"
#include "decide/recovery/ladder.h"
#include "decide/recovery/membership.h"
#include "decide/recovery/restore_choice.h"
#include "decide/recovery/save_first.h"
#include "decide/recovery/silence.h"

namespace pelton::decide::recovery {
namespace {

using base::Duration;
using base::Instant;
using Phase = Generation::Phase;

// Three failures of one node within a day: by chance that happens to one node in 10^8 (at 4.2
// failures per 1,000 node-days), and the worst 5 % of nodes make a quarter of all failures.
constexpr size_t kLemonFailures = 3;
constexpr Duration kLemonWindow = Duration::hours(24);
/// So much earlier than its deadline a notice is answered where the answer costs width.
constexpr Duration kNoticeLead = Duration::seconds(30);
/// For what the decision itself takes, after a save that is waited for no longer.
constexpr Duration kSaveSlack = Duration::seconds(1);

class Pass {
 public:
  Pass(const Observed& observed, Instant now)
      : observed_(observed),
        now_(now),
        generation_(observed.record.generation),
        worlds_(worlds_of(observed)),
        evidence_(observe_evidence(observed)) {
    out_.record = observed.record;
    out_.record.durable_step = durable_step_of(evidence_, observed.record);
    out_.memories = observed.memories;
  }

  Decision run() {
    decide();
    for (const Replacement& each : out_.record.replaced) {
      const auto pod = evidence_.pods.find(each.pod_uid);
      if (pod == evidence_.pods.end() || pod->second->has_ended) continue;
      if (!pod->second->is_leaving || each.force) out_.deletions.push_back(each);
    }
    quarantine();
    return std::move(out_);
  }

 private:
  bool is_new_attempt() const {
    return generation_.number > 0 && observed_.attempt != observed_.record.attempt;
  }

  void decide() {
    const bool is_over = generation_.phase == Phase::Finished || generation_.phase == Phase::Failed;
    if (generation_.number > 0 && is_over && !is_new_attempt()) return;
    if (observed_.has_ended) {
      if (generation_.number > 0 && !is_over) close("the JobSet has ended");
      return;
    }
    if (observed_.is_every_node_silent) {
      out_.waits_for = "every node is silent: nothing is decided until one is heard of";
      return;
    }
    if (observed_.is_suspended) {
      out_.waits_for = "the JobSet is suspended";
      if (generation_.number > 0 && generation_.phase == Phase::Running) {
        begin({Phase::Waiting, Rung::Wait, generation_.members, out_.waits_for, {}, {}});
      }
      return;
    }
    if (generation_.number > 0 && generation_.phase == Phase::Running) {
      if (evidence_.all_succeeded) return finish();
      if (!evidence_.failures.empty() && await_word()) return;
      if (!evidence_.failures.empty()) return on_failure();
      if (generation_.is_restore_open && close_restore()) return;
      if (on_notice()) return;
      return on_calm();
    }
    start();
  }

  // What a generation is replaced by.

  struct Step {
    Phase phase = Phase::Running;
    Rung rung = Rung::Start;
    std::vector<Member> members;
    std::string reason;
    std::vector<Alternative> alternatives;
    Failure failure;  ///< that ended the one before
  };

  void begin(Step step) {
    JobRecord& record = out_.record;
    if (generation_.number > 0) remember(record, past(step.failure));
    int64_t number = generation_.number;
    for (const PodFacts& pod : observed_.pods) number = std::max(number, pod.report.generation);
    record.generation = {number + 1,  record.uid, step.phase, std::move(step.members),
                         step.reason, now_};
    record.generation.observed = count_failures(evidence_, generation_, record.history);
    if (step.phase == Phase::Running) choose_restore(evidence_, record);
    if (record.attempt != observed_.attempt) record.durable_step = -1;
    record.attempt = observed_.attempt;
    record.full_world_size = worlds_.full();
    record.last = {step.rung, std::move(step.reason), now_, std::move(step.alternatives)};
    // What is gone and no budget counts any more.
    std::erase_if(record.replaced, [&](const Replacement& each) {
      return !evidence_.pods.contains(each.pod_uid) &&
             each.at + observed_.policy.budget.window < now_;
    });
  }

  /// Whether it could be: the same generation, which its members may begin now.
  bool close_restore() {
    const std::string missing = settle_restore(evidence_, out_.record);
    if (missing.empty()) return true;
    out_.waits_for = "what the memory of their nodes holds is not known of " + missing;
    return false;
  }

  /// The present generation, as its members have told it.
  PastGeneration past(const Failure& failure) const {
    PastGeneration past;
    past.number = generation_.number;
    past.phase = generation_.phase;
    past.rung = observed_.record.last.rung;
    past.began = generation_.began;
    past.ended = now_;
    past.world_size = generation_.world_size();
    past.full_world_size = observed_.record.full_world_size;
    past.reason = generation_.reason;
    past.failure = failure;
    past.restore = generation_.restore;
    double slowest = -1;
    for (const Member& member : generation_.members) {
      const auto pod = evidence_.pods.find(member.pod_uid);
      if (pod == evidence_.pods.end()) continue;
      const PodReport& report = pod->second->report;
      if (report.generation != generation_.number) continue;
      if (report.first_step >= 0 && past.first_step < 0) past.first_step = report.first_step;
      past.first_step_at = std::max(past.first_step_at, report.first_step_at);
      past.last_step = std::max(past.last_step, report.last_step);
      past.last_step_at = std::max(past.last_step_at, report.last_step_at);
      double sum = 0;
      for (const auto& [phase, seconds] : report.phase_seconds) sum += seconds;
      if (sum <= slowest) continue;
      slowest = sum;
      past.phase_seconds = report.phase_seconds;
    }
    return past;
  }

  /// Ends the present generation under its own number: there is nothing to fence.
  void end(Phase phase, Rung rung, std::string reason) {
    JobRecord& record = out_.record;
    remember(record, past({}));
    record.history.back().phase = phase;
    record.generation.phase = phase;
    record.last = {rung, std::move(reason), now_, {}};
  }

  void finish() { end(Phase::Finished, Rung::Finish, "every rank has succeeded"); }
  void close(std::string reason) { end(Phase::Failed, Rung::Stop, std::move(reason)); }

  void replace(const std::set<std::string>& uids, const std::string& why, bool force) {
    for (const std::string& uid : uids) {
      const auto pod = evidence_.pods.find(uid);
      if (pod == evidence_.pods.end() || pod->second->has_ended) continue;
      const auto& replaced = out_.record.replaced;
      if (std::any_of(replaced.begin(), replaced.end(),
                      [&](const Replacement& each) { return each.pod_uid == uid; })) {
        continue;
      }
      out_.record.replaced.push_back({pod->second->name, uid, pod->second->node, why, force, now_});
    }
  }

  // Failures.

  std::string describe(const Failure& failure) const {
    const size_t index = generation_.index_of(failure.pod_uid).value_or(0);
    const std::string& pod = generation_.members[index].pod;
    std::string text = fmt::format("rank {} (pod {}, node {}): {}", failure.rank, pod, failure.node,
                                   failure.cause);
    if (failure.step >= 0) text += fmt::format(" at step {}", failure.step);
    if (!failure.detail.empty()) text += ": " + failure.detail;
    return text;
  }

  /// Whether a member that has not failed may have gone with its node, which is soon known. Who has
  /// gone counts as lost.
  bool await_word() {
    const Silence silence = look_for_silence(observed_, evidence_, now_);
    if (silence.gone) {
      evidence_.lost.insert(silence.gone->pod_uid);
      evidence_.failures.insert(evidence_.failures.begin(), *silence.gone);
      return false;
    }
    if (!silence.until) return false;
    out_.waits_for = silence.waits_for;
    // A word of it, which ends this at once, is written on its pod or its Lease; this job is told
    // of its pods alone.
    look_again_at(std::min(*silence.until, now_ + Duration::milliseconds(250)));
    return true;
  }

  void on_failure() {
    Failure failure = evidence_.failures.front();
    if (failure.at == Instant()) failure.at = now_;
    blame_nodes();
    Trouble trouble;
    trouble.old = generation_.members;
    trouble.lost = evidence_.lost;
    trouble.suspects = evidence_.refused;
    if (trouble.lost.empty()) trouble.suspects.insert(failure.pod_uid);
    for (const Failure& each : evidence_.failures) {
      if (each.cause != kLinkDown) continue;
      trouble.without_network.insert(each.pod_uid);
      trouble.suspects.insert(each.pod_uid);
    }
    const int streak = find_streak(failure, trouble.tried);
    fence(trouble);
    const std::vector<Plan> plans = price_ladder(observed_, trouble, now_);
    const std::string what = describe(failure);
    const Plan* plan = cheapest(plans);
    if (plan == nullptr) {
      const std::string times = streak > 1 ? fmt::format(" ({} times in a row)", streak) : "";
      begin({Phase::Failed, Rung::Stop, generation_.members,
             "stopped, because no rung is left: " + what + times, alternatives_of(plans), failure});
      return;
    }
    take(*plan, plans, what, failure);
    give_up_unreachable(what);
  }

  static std::vector<Alternative> alternatives_of(const std::vector<Plan>& plans) {
    std::vector<Alternative> alternatives;
    for (const Plan& plan : plans) alternatives.push_back(plan.alternative);
    return alternatives;
  }

  void take(const Plan& plan, const std::vector<Plan>& plans, const std::string& reason,
            const Failure& failure) {
    begin({plan.runs ? Phase::Running : Phase::Waiting, plan.alternative.rung, plan.members, reason,
           alternatives_of(plans), failure});
    replace(plan.replace, reason, false);
  }

  /// Their generation is over, so their places may be given away: the pods are deleted by force,
  /// and what runs on there is void.
  void give_up_unreachable(const std::string& why) {
    std::set<std::string> unreachable;
    for (const Member& member : generation_.members) {
      if (is_unreachable(observed_, member.node)) unreachable.insert(member.pod_uid);
    }
    replace(unreachable, why, true);
  }

  /// How often in a row this has ended a generation, now included, and by what it has been met.
  int find_streak(const Failure& failure, std::set<Rung>& tried) const {
    int streak = 1;
    std::map<Rung, int> tries;
    // That version is not taken again, so that the next attempt is another one.
    if (failure.cause == kDamaged && generation_.restore) return streak;
    Failure last = failure;
    Rung rung = observed_.record.last.rung;
    bool made_progress = past({}).last_step >= 0;
    const auto& history = observed_.record.history;
    for (auto each = history.rbegin(); each != history.rend(); ++each) {
      if (each->phase == Phase::Waiting) continue;
      if (rung == Rung::Start || !is_same_failure(*each, last, made_progress)) break;
      ++streak;
      const bool counts = rung == Rung::RestartInPlace || !blames_node(failure.cause);
      if (++tries[rung] >= observed_.policy.patience && counts) tried.insert(rung);
      last = each->failure;
      rung = each->rung;
      made_progress = each->last_step >= 0;
    }
    return streak;
  }

  /// The breaker.
  void fence(Trouble& trouble) {
    const Duration window = observed_.policy.budget.window;
    if (begun_in_window(observed_, now_) < observed_.policy.budget.generations) return;
    trouble.fence = fmt::format("the budget of {} generations per {:.0f} s is spent",
                                observed_.policy.budget.generations, window.to_seconds());
    Instant first = generation_.began;
    for (const PastGeneration& past : observed_.record.history) {
      if (past.phase != Phase::Waiting && past.began > now_ - window) {
        first = std::min(first, past.began);
      }
    }
    look_again_at(first + window);
  }

  void look_again_at(Instant at) {
    const Duration delay = std::max(at - now_, Duration::milliseconds(100));
    out_.look_again = out_.look_again ? std::min(*out_.look_again, delay) : delay;
  }

  void blame_nodes() {
    std::set<std::string> blamed;
    for (const Failure& failure : evidence_.failures) {
      if (!blames_node(failure.cause) || !blamed.insert(failure.node).second) continue;
      NodeMemory& memory = out_.memories[failure.node];
      std::erase_if(memory.failures, [&](Instant at) { return at + kLemonWindow < now_; });
      memory.failures.push_back(now_);
      memory.cause = failure.cause;
      if (memory.failures.size() < kLemonFailures) continue;
      if (memory.quarantine != NodeMemory::Quarantine::None || !may_quarantine()) continue;
      memory.quarantine = NodeMemory::Quarantine::Due;
      memory.quarantined_at = now_;
    }
  }

  bool may_quarantine() const {
    const Instant from = now_ - observed_.policy.budget.window;
    return std::count_if(out_.memories.begin(), out_.memories.end(), [&](const auto& each) {
             return each.second.quarantined_at > from;
           }) < observed_.policy.budget.quarantines;
  }

  /// Due until the taint is seen; Done until it is seen gone, which forgives the node.
  void quarantine() {
    for (auto each = out_.memories.begin(); each != out_.memories.end();) {
      const auto node = observed_.nodes.find(each->first);
      const bool is_tainted = node != observed_.nodes.end() && node->second.is_quarantined;
      NodeMemory::Quarantine& state = each->second.quarantine;
      const bool is_known = node != observed_.nodes.end() && !node->second.is_unreachable;
      if (state == NodeMemory::Quarantine::Done && is_known && !is_tainted) {
        each = out_.memories.erase(each);
        continue;
      }
      if (state == NodeMemory::Quarantine::Due) {
        if (is_tainted) {
          state = NodeMemory::Quarantine::Done;
        } else {
          out_.quarantines.push_back(each->first);
        }
      }
      ++each;
    }
  }

  // Notices.

  /// Whether one was answered.
  bool on_notice() {
    if (evidence_.noticed.empty()) return false;
    Trouble trouble;
    trouble.old = generation_.members;
    std::string what;
    std::optional<Instant> deadline;
    SaveBy first;  ///< for the one that goes first
    bool is_dated = true;
    for (const auto& [uid, notice] : evidence_.noticed) {
      trouble.suspects.insert(uid);
      const Member& member = generation_.members[*generation_.index_of(uid)];
      what += fmt::format("{}node {} is to go: {}", what.empty() ? "" : "; ", member.node,
                          notice.reason);
      is_dated = is_dated && notice.deadline.has_value();
      if (notice.deadline && (!deadline || *notice.deadline < *deadline)) {
        deadline = notice.deadline;
        first = {*deadline, notice.reason, member.node};
      }
    }
    fence(trouble);
    std::vector<Plan> plans = price_ladder(observed_, trouble, now_);
    const bool is_urgent = !is_dated || now_ + kNoticeLead >= *deadline;
    for (Plan& plan : plans) {
      const Rung rung = plan.alternative.rung;
      const bool is_narrower = rung == Rung::Shrink || rung == Rung::ChangeMesh;
      if (rung == Rung::SwapSpare || (is_narrower && is_urgent)) continue;
      if (plan.alternative.possible) {
        plan.alternative.why = is_narrower ? "there is time yet" : "the node goes all the same";
      }
      plan.alternative.possible = false;
    }
    const Plan* plan = cheapest(plans);
    if (deadline && (plan != nullptr || is_urgent) && save_first(plan, first)) return true;
    if (plan != nullptr) {
      take(*plan, plans, what, {});
      return true;
    }
    out_.waits_for = what + "; no spare has joined, so it runs on there";
    if (!is_urgent) look_again_at(*deadline - kNoticeLead);
    return false;
  }

  /// Has the workers save before `plan` (nullptr: none is possible) is taken. Whether that has to
  /// be waited for.
  bool save_first(const Plan* plan, SaveBy wanted) {
    // The plan is to be done by then.
    const double needed =
        plan == nullptr ? 0 : recovery_time(observed_.record, plan->alternative.rung, false).value;
    const Instant latest =
        wanted.at - Duration::milliseconds(static_cast<int64_t>(1000 * needed)) - kSaveSlack;
    const SaveFirst save =
        recovery::save_first(evidence_, generation_, std::move(wanted), now_, latest);
    out_.record.generation.save_by = save.save_by;
    if (!save.is_awaited || plan == nullptr) return false;
    out_.waits_for = save.waits_for;
    look_again_at(latest);
    return true;
  }

  // Growing, and beginning.

  void on_calm() {
    const int world = generation_.world_size();
    if (world >= worlds_.full() || !observed_.policy.rungs.contains(Rung::Grow)) return;
    const std::vector<Member> spares = spares_of(observed_, {});
    const int at_hand = ranks_at_hand(generation_.members, {}, spares);
    for (const int wider : worlds_.all) {
      if (wider <= world) break;
      if (wider > at_hand) continue;
      std::vector<Member> members =
          compose(generation_.members, {}, spares, observed_.policy.ranks_per_replica, wider);
      if (!members.empty()) return grow(std::move(members), world, wider);
    }
    if (!out_.waits_for.empty()) return;
    out_.waits_for =
        fmt::format("runs with {} of {} ranks until pods have come back", world, worlds_.full());
  }

  void grow(std::vector<Member> members, int world, int wider) {
    const Seconds time = recovery_time(observed_.record, Rung::Grow, true);
    const Seconds horizon = time_between_failures(observed_.record, generation_.members.size(),
                                                  now_ - generation_.began);
    const double price = time.value * world;
    const double gain = (wider - world) * horizon.value;
    Trouble trouble;
    fence(trouble);
    std::vector<Alternative> alternatives = {
        {Rung::Grow, trouble.fence.empty(), price,
         trouble.fence.empty() ? fmt::format("to {} ranks; {}", wider, time.source)
                               : trouble.fence},
        {Rung::Wait, true, gain, fmt::format("{} ranks idle; {}", wider - world, horizon.source)}};
    if (!trouble.fence.empty() || gain < price) {
      out_.waits_for = fmt::format(
          "runs with {} ranks: growing to {} costs {:.0f} accelerator-"
          "seconds and gains {:.0f}{}",
          world, wider, price, gain, trouble.fence.empty() ? "" : "; " + trouble.fence);
      if (gain >= price) return;
      const double calm = price / (wider - world);  // by then the gain outweighs it
      return look_again_at(generation_.began +
                           Duration::milliseconds(static_cast<int64_t>(1000 * calm) + 1));
    }
    // One restart for all that come, unless those that are here have idled away its price.
    if (wider < worlds_.full() && pods_on_the_way(observed_) > 0) {
      const Instant idle_until =
          oldest_on_the_way() +
          Duration::milliseconds(static_cast<int64_t>(1000 * price / (wider - world)));
      if (now_ < idle_until) {
        out_.waits_for = "grows when the pods that are starting have joined too";
        return look_again_at(idle_until);
      }
    }
    begin({Phase::Running,
           Rung::Grow,
           std::move(members),
           fmt::format("{} more ranks are there", wider - world),
           std::move(alternatives),
           {}});
  }

  Instant oldest_on_the_way() const {
    Instant oldest = now_;
    for (const PodFacts& pod : observed_.pods) {
      if (pod.has_ended || pod.is_leaving || pod.has_joined || pod.is_unschedulable) continue;
      oldest = std::min(oldest, pod.created);
    }
    return oldest;
  }

  /// Nobody runs: begins as soon as that is the best.
  void start() {
    if (worlds_.all.empty()) {
      out_.is_impossible = true;
      out_.waits_for = fmt::format(
          "the JobSet's {} pods of {} ranks, less {} spares, make fewer than the {} replicas of {} "
          "ranks that spec.minReplicas of the policy asks for",
          observed_.wanted_pods, worlds_.per_pod, observed_.policy.spares,
          std::max(observed_.policy.min_replicas, 1), observed_.policy.ranks_per_replica);
      return;
    }
    const bool is_first = generation_.number == 0 || is_new_attempt();
    Trouble trouble;
    trouble.is_running = false;
    if (!is_first) trouble.old = generation_.members;
    trouble.lost = evidence_.lost;
    trouble.lost.insert(evidence_.refused.begin(), evidence_.refused.end());
    for (const Member& member : trouble.old) {
      const auto pod = evidence_.pods.find(member.pod_uid);
      if (pod == evidence_.pods.end() || !pod->second->has_joined) {
        trouble.lost.insert(member.pod_uid);
      }
    }
    for (const Replacement& each : observed_.record.replaced) trouble.lost.insert(each.pod_uid);
    fence(trouble);
    const std::vector<Member> spares = spares_of(observed_, {});
    std::vector<Member> members = as_wide_as_before(trouble, spares);
    if (!members.empty() && trouble.fence.empty()) {
      const bool is_back = !is_first && observed_.record.last.rung != Rung::Start;
      begin({Phase::Running, is_back ? observed_.record.last.rung : Rung::Start, std::move(members),
             is_back ? "enough pods have joined again" : "all pods that it needs have joined"});
      return;
    }
    if (!trouble.fence.empty()) {
      out_.waits_for = trouble.fence;
      return;
    }
    start_narrower(trouble, is_first, spares);
  }

  /// All that there may be, or at least as many ranks as before; empty: fewer are there.
  std::vector<Member> as_wide_as_before(const Trouble& trouble,
                                        const std::vector<Member>& spares) const {
    const int before = trouble.old.empty() ? worlds_.full() : ranks_of(trouble.old);
    const int at_hand = ranks_at_hand(trouble.old, trouble.lost, spares);
    for (const int world : worlds_.all) {
      if (world < std::min(before, worlds_.full())) break;
      if (world > at_hand) continue;
      std::vector<Member> members =
          compose(trouble.old, trouble.lost, spares, observed_.policy.ranks_per_replica, world);
      if (!members.empty()) return members;
    }
    return {};
  }

  void start_narrower(Trouble& trouble, bool is_first, const std::vector<Member>& spares) {
    const int on_the_way = pods_on_the_way(observed_);
    out_.waits_for = fmt::format("{} of {} ranks have joined; {} pods are on their way",
                                 joined_ranks(trouble, spares), worlds_.full(), on_the_way);
    if (is_first) {
      // Places that are pending for lack of room do not hold up a job that can do with fewer.
      if (on_the_way > 0) return;
      for (const int world : worlds_.all) {
        std::vector<Member> members =
            compose({}, {}, spares, observed_.policy.ranks_per_replica, world);
        if (members.empty()) continue;
        begin({Phase::Running,
               Rung::Start,
               std::move(members),
               fmt::format("{} of {} ranks have joined, and no node has room for more", world,
                           worlds_.full()),
               {},
               {}});
        return;
      }
      return;
    }
    const std::vector<Plan> plans = price_ladder(observed_, trouble, now_);
    const Plan* plan = cheapest(plans);
    if (plan == nullptr) return;
    if (plan->runs) return take(*plan, plans, "goes on with the pods that are there", {});
    // Waiting grows dearer as it lasts.
    const bool can_narrow = std::any_of(plans.begin(), plans.end(), [](const Plan& each) {
      return each.runs && each.alternative.possible;
    });
    if (can_narrow) look_again_at(now_ + std::max(now_ - generation_.began, Duration::seconds(1)));
  }

  static int joined_ranks(const Trouble& trouble, const std::vector<Member>& spares) {
    int ranks = ranks_of(spares);
    for (const Member& member : trouble.old) {
      if (!trouble.lost.contains(member.pod_uid)) ranks += member.ranks;
    }
    return ranks;
  }

  const Observed& observed_;
  const Instant now_;
  const Generation& generation_;
  const Worlds worlds_;
  Evidence evidence_;
  Decision out_;
};

}  // namespace

Decision decide_recovery(const Observed& observed, Instant now) {
  return Pass(observed, now).run();
}

}  // namespace pelton::decide::recovery
