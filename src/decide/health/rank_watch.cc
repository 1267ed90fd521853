// SPDX-License-Identifier: Apache-2.0
#include "decide/health/rank_watch.h"

#include <fmt/format.h>

#include <algorithm>

namespace pelton::decide::health {
namespace {

using base::Duration;
using base::Instant;

constexpr Duration kSilent = Duration::milliseconds(250);     ///< then evidence is wanted
constexpr Duration kStopped = Duration::milliseconds(300);    ///< then a stopped rank is named
constexpr Duration kLeastLate = Duration::milliseconds(800);  ///< never late before
constexpr Duration kBlind = Duration::milliseconds(1000);     ///< between two looks: not counted
constexpr Duration kUnknownIdle = Duration::seconds(300);     ///< Blocked without a usual time
constexpr Duration kSlowFor = Duration::seconds(5);           ///< then a straggler is named
constexpr Duration kSlowByLeast = Duration::milliseconds(2);  ///< a smaller difference is noise
constexpr Duration kUnknownDetail = Duration::seconds(2);     ///< look closer without a usual time
constexpr Duration kLinkPatience = Duration::seconds(5);      ///< a link may be down for so long
constexpr Duration kLeastMute = Duration::seconds(5);         ///< then a loop in C is named
constexpr Duration kExcusedMute = Duration::seconds(60);      ///< where there may be a reason
constexpr Duration kNoTick = Duration::milliseconds(500);     ///< two ticks are missing
constexpr int64_t kEnoughSeen = 3;                            ///< ends, before a time is usual

/// Phases whose length depends on what they find outside the job, or is different each time.
bool is_variable(Phase phase) {
  return phase != Phase::Step && phase != Phase::Collective;
}

bool is_own_work(Phase phase) {
  return phase == Phase::Step || phase == Phase::Data;
}

bool is_watched(Phase phase) {
  return phase != Phase::None && phase != Phase::Done && phase != Phase::Exit;
}

Duration median_of(std::vector<Duration> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::string text_of(Duration duration) {
  return fmt::format("{:.3g} s", duration.to_seconds());
}

}  // namespace

const char* kind_name(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::Hung:
      return "Hung";
    case Finding::Kind::Slow:
      return "Slow";
    case Finding::Kind::Suspected:
      break;
  }
  return "Suspected";
}

std::optional<recovery::WorkerState> state_of(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::Hung:
      return recovery::WorkerState::Hung;
    case Finding::Kind::Slow:
      return recovery::WorkerState::Slow;
    case Finding::Kind::Suspected:
      break;
  }
  return std::nullopt;
}

void RankWatch::begin(const std::vector<int>& ranks, Instant now, bool sees_all_ranks) {
  settings_.sees_all_ranks = sees_all_ranks;
  while (!ranks_.empty()) remove(ranks_.begin()->first);
  for (const int rank : ranks) add(rank, now);
  looked_ = now;
}

void RankWatch::add(int rank, Instant now) {
  ranks_[rank].began = ranks_[rank].counted = now;
}

void RankWatch::remove(int rank) {
  const auto found = ranks_.find(rank);
  if (found == ranks_.end()) return;
  if (found->second.named_mute > Duration()) {
    named_mutes_[rank] = Named{found->second.step, found->second.named_mute};
  }
  ranks_.erase(found);
}

bool RankWatch::is_in_first_step(const Rank& rank) {
  return !rank.has_stepped && (is_own_work(rank.phase) || rank.phase == Phase::Collective);
}

void RankWatch::learn_end(Rank& rank, Phase next, int64_t step, Instant ended) {
  const Duration lasted = ended - rank.began;
  const bool is_usual = !is_in_first_step(rank);  // a step that compiles teaches nothing
  if (is_watched(rank.phase) && is_usual) usual_[static_cast<size_t>(rank.phase)].add(lasted);
  if (is_own_work(rank.phase)) rank.own = rank.own + lasted;
  if (step == rank.step && next != Phase::Done) return;
  const bool has_stepped = rank.has_stepped;
  rank.has_stepped = has_stepped || rank.step >= 0;
  if (has_stepped && rank.own > Duration()) {
    if (rank.recent.size() < kRecent) {
      rank.recent.push_back(rank.own);
    } else {
      rank.recent[rank.next_recent] = rank.own;
      rank.next_recent = (rank.next_recent + 1) % kRecent;
    }
  }
  rank.own = Duration();
}

void RankWatch::on_record(int number, Phase phase, int64_t step, Instant began) {
  if (static_cast<size_t>(phase) >= kPhases) phase = Phase::Step;
  const auto found = ranks_.find(number);
  if (found == ranks_.end()) return;
  Rank& rank = found->second;
  if (rank.has_record) learn_end(rank, phase, step, began);
  if (rank.mute) learn_mute(rank, began - rank.mute->seen);
  if (phase == Phase::Collective) marks_collectives_ = true;
  rank.has_record = true;
  rank.phase = phase;
  rank.step = step;
  rank.began = rank.counted = began;
  rank.evidence.reset();
  rank.stopped_since.reset();
  rank.idle_since.reset();
  rank.unanswered_since.reset();
  rank.mute.reset();
}

std::vector<RankWatch::Wanted> RankWatch::wants_evidence(Instant now) const {
  std::array<std::optional<Stall>, kPhases> stalls;
  for (size_t phase = 0; phase < kPhases; ++phase) stalls[phase] = stall_of(Phase(phase));
  std::vector<Wanted> wanted;
  for (const auto& [number, rank] : ranks_) {
    const Duration silent = now - rank.began;
    if (rank.phase == Phase::Done || silent < kSilent) continue;
    // /proc costs a millisecond where a process has many threads: the longer the silence, the less
    // often, but never so seldom that a stopped rank would not be named within a second.
    const Duration since = rank.evidence ? now - rank.evidence_at : silent;
    if (since < std::min(silent / 10, kStopped)) continue;
    const auto& stall = stalls[static_cast<size_t>(rank.phase)];
    const Duration usual = stall && !is_in_first_step(rank) ? stall->late : kUnknownDetail;
    wanted.push_back({number, rank.has_record && silent >= usual});
  }
  return wanted;
}

void RankWatch::on_evidence(int number, const Evidence& evidence, Instant now) {
  const auto found = ranks_.find(number);
  if (found == ranks_.end()) return;
  Rank& rank = found->second;
  if (evidence.state != 'T') {
    rank.stopped_since.reset();
  } else if (!rank.stopped_since) {
    rank.stopped_since = now;
  }
  if (rank.evidence && evidence.tcp_retransmits > rank.evidence->tcp_retransmits) {
    if (!rank.unanswered_since) rank.unanswered_since = now;
    rank.unanswered_last = now;
  }
  // A twentieth of a processor is what idle threads of a framework use. Who waits for a disk is not
  // idle: how long that may take is not ours to say. Nor is who would run and is not let.
  const bool is_waiting = evidence.state == 'S' || evidence.state == 'T';
  const bool is_idle = rank.idle_since && is_waiting &&
                       evidence.disk_bytes == rank.idle_from.disk_bytes &&
                       evidence.processor_time - rank.idle_from.processor_time <=
                           (now - *rank.idle_since) / 20 + Duration::milliseconds(20);
  if (!is_idle) {
    rank.idle_since = now;
    rank.idle_from = evidence;
  }
  if (!rank.evidence) {
    rank.busy_from = evidence.processor_time;
    rank.busy_since = now;
  }
  if (rank.mute && evidence.ticked != rank.mute->ticked) learn_mute(rank, mute_for(rank));
  hear_tick(rank, evidence, now);
  rank.evidence = evidence;
  rank.evidence_at = now;
}

void RankWatch::hear_tick(Rank& rank, const Evidence& evidence, Instant now) {
  // Who is stopped, or waits for a disk, or writes to one, is no loop.
  const bool goes_on = rank.mute && evidence.ticked == rank.mute->ticked &&
                       evidence.disk_bytes == rank.mute->disk_bytes &&
                       (evidence.state == 'R' || evidence.state == 'S');
  if (goes_on) return;
  rank.mute.reset();
  if (!evidence.ticked) return;
  rank.mute = Mute{*evidence.ticked, now, evidence.processor_time, evidence.disk_bytes};
}

/// For how long it was seen to keep its interpreter's lock while it used a processor; else zero.
Duration RankWatch::mute_for(const Rank& rank) {
  if (!rank.mute || !rank.evidence) return {};
  const Duration lasted = rank.evidence_at - rank.mute->seen;
  const Duration used = rank.evidence->processor_time - rank.mute->used;
  if (used * 2 >= lasted) return used > Duration() ? lasted : Duration();
  // Where others take the processors, what it got counts; but not what idle threads use.
  return used * 8 >= lasted ? used : Duration();
}

bool RankWatch::holds_lock(const Rank& rank) {
  return rank.evidence && rank.mute && rank.evidence_at - rank.mute->ticked >= kNoTick &&
         mute_for(rank) > Duration();
}

void RankWatch::learn_mute(const Rank& rank, Duration lasted) {
  if (!holds_lock(rank) || rank.evidence->collects_garbage) return;
  Duration& longest = longest_mute_[static_cast<size_t>(rank.phase)];
  longest = std::max(longest, lasted);
}

void RankWatch::skip_blind_time(Instant now) {
  const Duration gap = looked_ ? now - *looked_ : Duration();
  looked_ = now;
  if (gap <= kBlind) return;
  for (auto& [number, rank] : ranks_) {
    rank.counted = std::min(now, rank.counted + gap);
    // What was seen before says nothing about the time between.
    rank.stopped_since.reset();
    rank.idle_since.reset();
    rank.unanswered_since.reset();
    rank.mute.reset();
  }
}

std::optional<RankWatch::Stall> RankWatch::stall_of(Phase phase) const {
  const Quantiles& usual = usual_[static_cast<size_t>(phase)];
  if (!is_watched(phase) || usual.seen() < kEnoughSeen) return std::nullopt;
  const Duration p99 = usual.quantile(0.99);
  const Duration late = std::max(kLeastLate, p99 * 5 / 2);
  const Duration restart = settings_.restart_cost;
  // A script that marks nothing may save, evaluate or compile in what it calls a step.
  if (is_variable(phase) || !marks_collectives_) {
    return Stall{p99, late, std::max({Duration::seconds(60), p99 * 5, restart * 2}),
                 std::max({Duration::seconds(600), p99 * 20, restart * 10})};
  }
  // How long something that is late will still take is about as long as it took so far, where such
  // times have a heavy tail; so waiting costs more than `restart` soon, and the rest is caution.
  return Stall{p99, late, std::max({Duration::seconds(5), p99 * 5, restart}),
               std::max({Duration::seconds(60), p99 * 20, restart * 10})};
}

bool RankWatch::waits(const Rank& rank, const Look& look) const {
  if (rank.phase == Phase::Collective) return true;
  // A script that does not say so waits in its step; only silence of the processor tells.
  return !marks_collectives_ && rank.phase == Phase::Step && look.is_late(rank) &&
         rank.idle_since && look.now - *rank.idle_since >= Duration::seconds(1);
}

RankWatch::Look RankWatch::look_at(Instant now) const {
  Look look;
  look.now = now;
  for (size_t phase = 0; phase < kPhases; ++phase) {
    look.stalls[phase] = stall_of(static_cast<Phase>(phase));
  }
  for (const auto& [number, rank] : ranks_) {
    const bool is_waiting = waits(rank, look);
    if (is_waiting) ++look.waiting;
    if (holds_lock(rank)) ++look.holding;
    if (!is_waiting && is_watched(rank.phase)) ++look.working;
    if (rank.recent.size() == kRecent) look.own_parts.push_back(median_of(rank.recent));
  }
  std::sort(look.own_parts.begin(), look.own_parts.end());
  look.deadlocked = deadlocked(look);
  return look;
}

std::optional<int> RankWatch::deadlocked(const Look& look) const {
  const auto& stall = look.stalls[static_cast<size_t>(Phase::Collective)];
  if (!stall || !settings_.sees_all_ranks || look.waiting < ranks_.size()) return std::nullopt;
  const Duration least = std::max(Duration::seconds(30), stall->idle * 2);
  std::optional<int> first;
  for (const auto& [number, rank] : ranks_) {
    const bool is_idle = rank.idle_since && look.now - *rank.idle_since >= least;
    if (rank.phase != Phase::Collective || !is_idle) return std::nullopt;
    if (!first || rank.step < ranks_.at(*first).step) first = number;
  }
  return first;
}

bool RankWatch::is_busy(const Rank& rank) const {
  if (!rank.evidence) return false;
  const Duration used = rank.evidence->processor_time - rank.busy_from;
  return used * 2 >= rank.evidence_at - rank.busy_since && used > Duration();
}

std::optional<Finding> RankWatch::keeps_lock(int number, const Rank& rank, const Look& look) const {
  if (!look.is_late(rank) || !holds_lock(rank)) return std::nullopt;
  const Stall stall = *look.stall_of(rank);
  const Duration mute = mute_for(rank);
  Duration patience = std::max({kLeastMute, settings_.restart_cost, stall.late,
                                longest_mute_[static_cast<size_t>(rank.phase)] * 2});
  // What all do at once, or again at the same step, is what the program does.
  if (look.holding > 1 || rank.evidence->collects_garbage) {
    patience = std::max(patience, kExcusedMute);
  }
  const auto named = named_mutes_.find(number);
  if (named != named_mutes_.end() && named->second.step == rank.step) {
    patience = std::max({patience, kExcusedMute, named->second.mute * 2});
  }
  if (is_variable(rank.phase)) patience = std::max(patience, stall.idle);
  if (mute < patience) return std::nullopt;
  return Finding{number, Finding::Kind::Hung, "Spinning",
                 fmt::format("{} of step {} since {}, usually at most {}; for {} it uses the "
                             "processor and keeps the interpreter's lock from its own threads, and "
                             "to begin again takes {}",
                             phase_name(rank.phase), rank.step, text_of(look.now - rank.counted),
                             text_of(stall.p99), text_of(mute), text_of(settings_.restart_cost)),
                 rank.counted + stall.late};
}

std::optional<Finding> RankWatch::blame(int number, const Rank& rank, const Look& look) const {
  // Where a script marks its collectives, whoever is in none may be waited for by ranks elsewhere.
  const bool is_waited_for = look.waiting > 0;
  const bool may_be = marks_collectives_ && !settings_.sees_all_ranks;
  if (waits(rank, look) || !(is_waited_for || may_be)) return std::nullopt;
  if (rank.evidence && rank.evidence->state == 't') return std::nullopt;
  const auto kind = is_waited_for ? Finding::Kind::Hung : Finding::Kind::Suspected;
  const auto stall = look.stall_of(rank);
  const Duration lasted = look.now - rank.counted;
  const Duration idle = rank.idle_since ? look.now - *rank.idle_since : Duration();
  const std::string what =
      fmt::format("{} of step {} since {}", phase_name(rank.phase), rank.step, text_of(lasted));
  const char* whom = is_waited_for ? "its peers wait for it" : "peers elsewhere may wait for it";
  if (idle >= (stall ? stall->idle : kUnknownIdle)) {
    return Finding{number, kind, "Blocked",
                   fmt::format("{}, neither processor nor disk used for {}, and {}", what,
                               text_of(idle), whom),
                   rank.counted + (stall ? stall->late : Duration())};
  }
  if (stall && lasted >= stall->wait) {
    return Finding{number, kind, is_busy(rank) ? "Spinning" : "CostOfWaiting",
                   fmt::format("{}, usually at most {}; {}, and to begin again takes {}", what,
                               text_of(stall->p99), whom, text_of(settings_.restart_cost)),
                   rank.counted + stall->late};
  }
  return std::nullopt;
}

std::optional<Finding> RankWatch::stuck_in_collective(int number, const Rank& rank,
                                                      const Look& look) const {
  const auto stall = look.stall_of(rank);
  if (!stall || look.working > 0) return std::nullopt;
  const Instant late_since = rank.counted + stall->late;
  const Duration patience = std::max(Duration::seconds(10), stall->idle);
  if (rank.unanswered_since && rank.unanswered_last - *rank.unanswered_since >= patience / 4 &&
      look.now - *rank.unanswered_since >= patience) {
    return Finding{number, Finding::Kind::Hung, "Unanswered",
                   fmt::format("collective of step {} since {}, and what it sends is not answered "
                               "for {}: TCP segments are sent again",
                               rank.step, text_of(look.now - rank.counted),
                               text_of(look.now - *rank.unanswered_since)),
                   late_since};
  }
  if (look.deadlocked == number) {
    return Finding{number, Finding::Kind::Hung, "Deadlock",
                   fmt::format("all ranks wait in a collective, this one of step {} since {}, and "
                               "none uses the processor",
                               rank.step, text_of(look.now - rank.counted)),
                   late_since};
  }
  return std::nullopt;
}

std::string RankWatch::where_of(const Rank& rank) {
  if (!rank.has_record) return "before its first heartbeat";
  return fmt::format("in {} of step {}", phase_name(rank.phase), rank.step);
}

std::optional<Finding> RankWatch::without_link(int number, const Rank& rank,
                                               const Look& look) const {
  if (!down_link_ || rank.phase == Phase::Done) return std::nullopt;
  // A short blip is what TCP is made for, and costs less than to begin again.
  const Duration patience = std::max(kLinkPatience, settings_.restart_cost);
  // Who goes on from step to step without it does not need it.
  const bool goes_on = rank.has_stepped && rank.counted > down_link_->since + patience;
  const Duration silent = look.now - std::max(rank.counted, down_link_->since);
  if (goes_on || silent < patience) return std::nullopt;
  return Finding{number, Finding::Kind::Hung, "LinkDown",
                 fmt::format("{} is down for {}, and the rank is {}", down_link_->name,
                             text_of(look.now - down_link_->since), where_of(rank)),
                 down_link_->since};
}

std::optional<Finding> RankWatch::hang_of(int number, const Rank& rank, const Look& look) const {
  if (rank.stopped_since && rank.evidence_at - *rank.stopped_since >= kStopped) {
    return Finding{number, Finding::Kind::Hung, "Stopped",
                   "stopped by a signal " + where_of(rank) + ": SIGCONT would go on",
                   *rank.stopped_since};
  }
  if (auto cut_off = without_link(number, rank, look)) return cut_off;
  if (!rank.has_record || !is_watched(rank.phase)) return std::nullopt;
  std::optional<Finding> hang;
  if (rank.phase == Phase::Collective) {
    hang = stuck_in_collective(number, rank, look);
  } else {
    hang = keeps_lock(number, rank, look);
    if (!hang) hang = blame(number, rank, look);
  }
  if (hang || !look.is_late(rank)) return hang;
  if (look.holding > 0 && !holds_lock(rank)) return std::nullopt;  // it waits for that one
  // Who waits is not suspected while there is somebody here that it may wait for.
  if (waits(rank, look) && look.working > 0) return std::nullopt;
  const Stall stall = *look.stall_of(rank);
  return Finding{number, Finding::Kind::Suspected, "Late",
                 fmt::format("{} of step {} since {}, usually at most {}", phase_name(rank.phase),
                             rank.step, text_of(look.now - rank.counted), text_of(stall.p99)),
                 rank.counted + stall.late};
}

std::optional<Finding> RankWatch::straggler(int number, Rank& rank, const Look& look) const {
  if (rank.recent.size() < kRecent || look.own_parts.size() < 2) return std::nullopt;
  const Duration own = median_of(rank.recent);
  // The median of the others: a straggler stands behind it, so it is that of all without the last.
  const Duration theirs = look.own_parts[(look.own_parts.size() - 1) / 2];
  const bool was_slow = rank.slow_since.has_value();
  const bool is_slow = own * 2 >= theirs * (was_slow ? 3 : 4) && own - theirs >= kSlowByLeast;
  if (!is_slow) rank.slow_since.reset();
  if (is_slow && !was_slow) rank.slow_since = look.now;
  if (!is_slow || look.now - *rank.slow_since < kSlowFor) return std::nullopt;
  return Finding{number, Finding::Kind::Slow, "Straggler",
                 fmt::format("its part of a step takes {}, that of its peers {}", text_of(own),
                             text_of(theirs)),
                 *rank.slow_since};
}

std::vector<Finding> RankWatch::findings(Instant now) {
  skip_blind_time(now);
  const Look look = look_at(now);
  std::vector<Finding> found;
  for (auto& [number, rank] : ranks_) {
    auto hang = hang_of(number, rank, look);
    auto slow = straggler(number, rank, look);
    const bool is_loop = hang && hang->kind == Finding::Kind::Hung && hang->cause == "Spinning";
    if (is_loop) rank.named_mute = mute_for(rank);
    if (hang && (hang->kind == Finding::Kind::Hung || !slow)) {
      found.push_back(*std::move(hang));
    } else if (slow) {
      found.push_back(*std::move(slow));
    }
  }
  return found;
}

}  // namespace pelton::decide::health
