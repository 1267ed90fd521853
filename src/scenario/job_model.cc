// SPDX-License-Identifier: Apache-2.0
#include "scenario/job_model.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <queue>
#include <set>
#include <utility>

#include "decide/recovery/decide_recovery.h"
#include "decide/recovery/ladder.h"
#include "decide/recovery/membership.h"
#include "scenario/condensed_members.h"
#include "scenario/work_account.h"

namespace pelton::scenario {
namespace {

using base::Duration;
using base::Instant;
using decide::goodput::Category;
using decide::recovery::Decision;
using decide::recovery::Generation;
using decide::recovery::Member;
using decide::recovery::Observed;
using decide::recovery::PodFacts;
using decide::recovery::PodReport;
using decide::recovery::Rung;
using Phase = Generation::Phase;
using Place = CondensedMembers::Place;

/// So that no instant is "none".
constexpr Instant kEpoch = Instant::from_unix_seconds(1'000'000'000);
/// A node that is quarantined is looked at, and takes part again after so long.
constexpr Duration kQuarantine = Duration::hours(24);
/// Spares that a decision is shown beyond what it can use.
constexpr int kSparesShown = 4;

class JobRun {
 public:
  JobRun(const JobModel& model, const std::vector<NodeEvent>& events)
      : model_(model),
        events_(events),
        nodes_(static_cast<size_t>(model.nodes)),
        members_(model.nodes, model.ranks_per_node, nodes_per_replica()) {}

  JobResult run();

 private:
  enum class State : uint8_t { Up, Broken, Waiting, Stopped };
  struct Node {
    bool is_up = true;
    bool has_joined = true;  ///< its present pod has
    int incarnation = 0;     ///< of its present pod, or of the next
    Duration quarantined_until;
  };
  struct Due {
    enum class Kind : uint8_t { Detected, Joined, Look, Restarted };
    Duration at;
    Kind kind;
    int node;
    int64_t number;  ///< generation, or incarnation
    int64_t order;
    bool operator<(const Due& other) const {
      return std::tie(at, order) > std::tie(other.at, other.order);
    }
  };
  struct FailedWorker {
    int node;
    const char* cause;
    Duration at;
  };

  int nodes_per_replica() const {
    return std::max(1, model_.policy.ranks_per_replica / model_.ranks_per_node);
  }
  Node& node(int index) { return nodes_[static_cast<size_t>(index)]; }
  const Node& node(int index) const { return nodes_[static_cast<size_t>(index)]; }
  Place place_on(int index) const { return {index, node(index).incarnation}; }
  bool is_there(int index) const { return node(index).is_up && node(index).has_joined; }
  Duration pod_start() const {
    return std::max(model_.costs.pod_restart - model_.costs.in_place, Duration());
  }
  void due(Due::Kind kind, Duration after, int index, int64_t number) {
    due_.push({now_ + after, kind, index, number, ++order_});
  }

  void begin();
  void place_all();
  void strike(const NodeEvent& event);
  void on_down(int index);
  void on_up(int index);
  void on_worker(const NodeEvent& event);
  void on_due(const Due& due);
  void remake_pod(int index);
  void lose(int index);
  void break_up(Duration detected_after);

  // The decision.
  void decide();
  Observed observe() const;
  void show_members(Observed& observed) const;
  void show_others(Observed& observed) const;
  PodFacts facts_of(const Member& member, int rank) const;
  Decision decide_plain(const Observed& observed) const;
  void take(const Observed& observed, Decision decision);
  void take_members(const Observed& observed, const Generation& generation);
  Duration cost_of(Rung rung) const;

  // The accounts.
  double width() const { return members_.width() / static_cast<double>(full_nodes_); }
  double rate() const;
  double stalls_per_work() const;
  double progress() const;
  static double saved(const Tier& tier, double progress);
  void add(Category category, Duration time) { account_.add(category, time); }
  void stop_stepping();
  void close_state();
  void finish();

  const JobModel& model_;
  const std::vector<NodeEvent>& events_;
  std::vector<Node> nodes_;
  CondensedMembers members_;
  int full_nodes_ = 1;
  std::set<int> spares_;  ///< nodes whose pod has joined and is no member
  std::set<int> coming_;  ///< nodes that are up and whose pod has not joined
  std::set<int> broken_;  ///< members whose pod is gone
  int down_ = 0;          ///< nodes
  std::optional<FailedWorker> failed_;
  decide::recovery::JobRecord record_;
  decide::recovery::NodeMemories memories_;
  std::priority_queue<Due> due_;
  int64_t order_ = 0;
  bool is_restarting_ = false;  ///< the JobSet; else, where Stopped, it is for ever
  Duration now_;

  State state_ = State::Up;
  Duration since_;      ///< state
  Duration resume_at_;  ///< of the first step, where Up
  Category recovery_ = Category::ProgramStartup;
  WorkAccount account_;
  bool has_memory_ = true;                             ///< the memory's saves are whole
  std::vector<std::pair<int, Duration>> lost_lately_;  ///< positions of members
  JobResult result_;
};

// ---- what happens ----

JobResult JobRun::run() {
  begin();
  size_t next = 0;
  while (next < events_.size() && events_[next].at == Duration()) ++next;
  while (true) {
    const Duration event = next < events_.size() ? events_[next].at : Duration::max();
    const Duration own = due_.empty() ? Duration::max() : due_.top().at;
    const Duration at = std::min(event, own);
    if (at >= model_.wall) break;
    now_ = at;
    if (event <= own) {
      strike(events_[next++]);
    } else {
      const Due first = due_.top();
      due_.pop();
      on_due(first);
    }
  }
  finish();
  return std::move(result_);
}

void JobRun::begin() {
  for (const NodeEvent& event : events_) {
    if (event.at > Duration()) break;
    if (event.kind != NodeEvent::Kind::Down || !node(event.node).is_up) continue;
    node(event.node).is_up = node(event.node).has_joined = false;
    ++down_;
  }
  record_.name = record_.uid = "job";
  place_all();
  resume_at_ = model_.start;
}

/// The first generation of the JobSet's present attempt: as many as may be and are there.
void JobRun::place_all() {
  const auto worlds = decide::recovery::allowed_worlds(
      model_.policy, model_.nodes * model_.ranks_per_node, model_.ranks_per_node);
  full_nodes_ = worlds.empty() ? 1 : worlds.front() / model_.ranks_per_node;
  int wanted = 0;
  for (const int world : worlds) {
    wanted = world / model_.ranks_per_node;
    if (wanted <= model_.nodes - down_ || model_.is_plain) break;
  }
  std::vector<Place> order;
  spares_.clear();
  broken_.clear();
  failed_.reset();
  for (int i = 0; i < model_.nodes; ++i) {
    if (!is_there(i)) continue;
    if (static_cast<int>(order.size()) < wanted) {
      order.push_back(place_on(i));
    } else {
      spares_.insert(i);
    }
  }
  const bool is_enough = static_cast<int>(order.size()) == wanted && wanted > 0;
  members_.set(std::move(order));
  record_.full_world_size = full_nodes_ * model_.ranks_per_node;
  ++record_.generation.number;
  record_.generation.phase = is_enough ? Phase::Running : Phase::Waiting;
  record_.generation.began = kEpoch + now_;
  record_.last.rung = Rung::Start;
  state_ = is_enough ? State::Up : State::Waiting;
}

void JobRun::strike(const NodeEvent& event) {
  switch (event.kind) {
    case NodeEvent::Kind::Down:
      return on_down(event.node);
    case NodeEvent::Kind::Up:
      return on_up(event.node);
    default:
      return on_worker(event);
  }
}

void JobRun::on_down(int index) {
  if (!node(index).is_up) return;
  ++down_;
  node(index).is_up = false;
  coming_.erase(index);
  const bool is_member = members_.contains(place_on(index));
  if (is_member) lose(index);
  remake_pod(index);
  if (is_member && state_ != State::Stopped) break_up(model_.detect_node);
}

void JobRun::on_up(int index) {
  if (node(index).is_up) return;
  --down_;
  node(index).is_up = true;
  remake_pod(index);
}

/// Of the present pod, if there is one, nothing is left.
void JobRun::remake_pod(int index) {
  if (members_.contains(place_on(index))) broken_.insert(index);
  spares_.erase(index);
  node(index).has_joined = false;
  ++node(index).incarnation;
  if (!node(index).is_up) return;
  coming_.insert(index);
  due(Due::Kind::Joined, pod_start(), index, node(index).incarnation);
}

/// A member's memory is gone with it; its copy too, if that one's node went just before.
void JobRun::lose(int index) {
  const int position = members_.position_of(index);
  std::erase_if(lost_lately_,
                [&](const auto& each) { return each.second + model_.replicate < now_; });
  const bool is_copy_lost =
      std::any_of(lost_lately_.begin(), lost_lately_.end(),
                  [&](const auto& each) { return each.first == (position ^ 1); });
  if (!model_.has_peers || is_copy_lost) has_memory_ = false;
  lost_lately_.emplace_back(position, now_);
}

void JobRun::on_worker(const NodeEvent& event) {
  if (state_ != State::Up) return;
  int index = event.node;
  if (event.rank >= 0) {
    const size_t position = static_cast<size_t>(event.rank / model_.ranks_per_node);
    if (position >= members_.order().size()) return;
    index = members_.order()[position].node;
  }
  if (!is_there(index) || !members_.contains(place_on(index))) return;
  const bool is_hang = event.kind == NodeEvent::Kind::WorkerHang;
  failed_ = {index, is_hang ? "Hung" : "SIGKILL", now_};
  break_up(is_hang ? model_.detect_hang : model_.detect_worker);
}

void JobRun::break_up(Duration detected_after) {
  if (state_ == State::Up) {
    ++result_.failures;
    stop_stepping();
    state_ = State::Broken;
  }
  due(Due::Kind::Detected, detected_after, 0, record_.generation.number);
}

void JobRun::on_due(const Due& due) {
  switch (due.kind) {
    case Due::Kind::Detected:
      if (due.number == record_.generation.number && state_ != State::Up) decide();
      return;
    case Due::Kind::Joined:
      if (node(due.node).incarnation != due.number || !node(due.node).is_up) return;
      node(due.node).has_joined = true;
      coming_.erase(due.node);
      spares_.insert(due.node);
      if (state_ == State::Waiting || (state_ == State::Up && members_.width() < full_nodes_)) {
        decide();
      }
      return;
    case Due::Kind::Look:
      if (due.number == record_.generation.number && state_ != State::Broken) decide();
      return;
    case Due::Kind::Restarted:
      close_state();
      is_restarting_ = false;
      recovery_ = Category::InfrastructureRecovery;
      place_all();
      resume_at_ = now_;
      return;
  }
}

// ---- the decision ----

PodFacts JobRun::facts_of(const Member& member, int rank) const {
  PodFacts pod;
  pod.name = member.pod;
  pod.uid = member.pod_uid;
  pod.node = member.node;
  pod.has_joined = true;
  pod.created = kEpoch;
  pod.report.ranks = member.ranks;
  pod.report.parked = true;
  if (rank < 0) return pod;
  pod.order = rank;
  pod.report.generation = record_.generation.number;
  pod.report.stage = PodReport::Stage::Running;
  const double reached = state_ == State::Up ? progress() : account_.reached();
  if (reached > account_.restored()) {
    const double step = model_.step.to_seconds();
    pod.report.first_step = static_cast<int64_t>(account_.restored() / step);
    pod.report.last_step = static_cast<int64_t>(reached / step);
    pod.report.first_step_at = kEpoch + resume_at_;
    pod.report.last_step_at = kEpoch + (state_ == State::Up ? now_ : since_);
  }
  return pod;
}

void JobRun::show_members(Observed& observed) const {
  std::set<int> apart = broken_;
  if (failed_) apart.insert(failed_->node);
  std::vector<Member>& members = observed.record.generation.members;
  members = members_.condense(apart);
  int rank = 0;
  for (const Member& member : members) {
    const bool is_stretch = CondensedMembers::is_stretch(member);
    const Place place = CondensedMembers::place_of(member);
    const bool is_gone = !is_stretch && (place != place_on(place.node) || !is_there(place.node));
    observed.nodes[member.node].is_unreachable = !is_stretch && !node(place.node).is_up;
    if (!is_gone) observed.pods.push_back(facts_of(member, rank));
    if (!is_gone && !is_stretch && failed_ && failed_->node == place.node) {
      PodReport& report = observed.pods.back().report;
      report.stage = PodReport::Stage::Stopped;
      report.workers.emplace_back();
      report.workers.back().rank = rank;
      report.workers.back().state = decide::recovery::WorkerState::Exited;
      report.workers.back().cause = failed_->cause;
      report.workers.back().since = kEpoch + failed_->at;
    }
    rank += member.ranks;
  }
}

/// Spares, as many as can be of use; pods that come; and those that have no node, as one.
void JobRun::show_others(Observed& observed) const {
  int shown = full_nodes_ - members_.width() + static_cast<int>(broken_.size()) + kSparesShown;
  for (const int index : spares_) {
    if (node(index).quarantined_until > now_) continue;
    if (shown-- <= 0) break;
    PodFacts pod = facts_of(members_.member_of(place_on(index)), -1);
    pod.order = index;
    observed.nodes[pod.node];
    observed.pods.push_back(std::move(pod));
  }
  for (const int index : coming_) {
    PodFacts pod = facts_of(members_.member_of(place_on(index)), -1);
    pod.has_joined = false;
    pod.created = kEpoch + now_;
    observed.pods.push_back(std::move(pod));
  }
  // What has gone just now has not been found to have no place yet.
  const int64_t lately =
      std::count_if(broken_.begin(), broken_.end(), [&](int index) { return !node(index).is_up; });
  const int missing = down_ - static_cast<int>(lately);
  if (missing <= 0) return;
  PodFacts pod;
  pod.name = pod.uid = "without-a-node";
  pod.is_unschedulable = true;
  pod.report.ranks = missing * model_.ranks_per_node;
  observed.pods.push_back(std::move(pod));
}

Observed JobRun::observe() const {
  Observed observed;
  observed.policy = model_.policy;
  observed.wanted_pods = model_.nodes;
  observed.record = record_;
  show_members(observed);
  show_others(observed);
  for (const auto& [name, facts] : observed.nodes) {
    const auto memory = memories_.find(name);
    if (memory != memories_.end()) observed.memories.insert(*memory);
  }
  return observed;
}

/// Torn down and started again as a whole, at the width that it always has.
Decision JobRun::decide_plain(const Observed& observed) const {
  Decision decision;
  decision.record = observed.record;
  Generation& generation = decision.record.generation;
  ++generation.number;
  std::set<std::string> lost;
  for (const int index : broken_) {
    const int position = members_.position_of(index);
    lost.insert(members_.member_of(members_.order()[static_cast<size_t>(position)]).pod_uid);
  }
  const std::vector<Member> members = decide::recovery::compose(
      generation.members, lost, decide::recovery::spares_of(observed, {}),
      model_.policy.ranks_per_replica, full_nodes_ * model_.ranks_per_node);
  generation.phase = members.empty() ? Phase::Waiting : Phase::Running;
  if (!members.empty()) generation.members = members;
  decision.record.last.rung = Rung::RestartPod;
  return decision;
}

void JobRun::decide() {
  ++result_.decisions;
  const Observed observed = observe();
  take(observed,
       model_.is_plain ? decide_plain(observed) : decide_recovery(observed, kEpoch + now_));
}

void JobRun::take(const Observed& observed, Decision decision) {
  for (const auto& [name, memory] : observed.memories) {
    if (!decision.memories.contains(name)) memories_.erase(name);
  }
  for (auto& [name, memory] : decision.memories) memories_[name] = std::move(memory);
  for (const std::string& name : decision.quarantines) {
    if (name.front() != 'n') continue;
    node(std::stoi(name.substr(1))).quarantined_until = now_ + kQuarantine;
    memories_.erase(name);
  }
  const Generation& before = record_.generation;
  const Generation& after = decision.record.generation;
  if (after.number != before.number || after.phase != before.phase) {
    if (before.phase == Phase::Running) ++result_.taken[decision.record.last.rung];
    if (state_ == State::Up) stop_stepping();
    close_state();
    const bool is_from_memory = has_memory_ && model_.memory.every > Duration();
    account_.settle(std::max(is_from_memory ? saved(model_.memory, account_.reached()) : 0,
                             saved(model_.durable, account_.reached())));
    take_members(observed, after);
    recovery_ = after.world_size() == observed.record.generation.world_size()
                    ? Category::InfrastructureRecovery
                    : Category::ElasticReinitialization;
    since_ = now_;
    resume_at_ = now_ + cost_of(decision.record.last.rung) +
                 (is_from_memory ? model_.memory : model_.durable).restore;
    state_ = after.phase == Phase::Running   ? State::Up
             : after.phase == Phase::Waiting ? State::Waiting
                                             : State::Stopped;
    if (state_ == State::Up) has_memory_ = true;
    if (state_ == State::Stopped) result_.diagnosis = decision.record.last.reason;
    if (state_ == State::Stopped && result_.restarts < model_.max_restarts) {
      ++result_.restarts;
      is_restarting_ = true;
      due(Due::Kind::Restarted, model_.costs.pod_restart, 0, 0);
    }
  }
  record_ = std::move(decision.record);
  record_.generation.members.clear();
  for (const auto& each : decision.deletions) {
    if (each.pod_uid.front() != 'n') continue;
    const Place place = CondensedMembers::place_of({.pod_uid = each.pod_uid});
    if (place == place_on(place.node)) remake_pod(place.node);
  }
  if (decision.look_again) due(Due::Kind::Look, *decision.look_again, 0, record_.generation.number);
}

void JobRun::take_members(const Observed& observed, const Generation& generation) {
  failed_.reset();
  if (generation.phase == Phase::Running) {
    const auto change = members_.apply(observed.record.generation.members, generation.members);
    for (const Place& place : change.left) {
      if (place == place_on(place.node) && is_there(place.node)) spares_.insert(place.node);
    }
    for (const Place& place : change.came) spares_.erase(place.node);
  }
  std::erase_if(broken_, [&](int index) {
    const int position = members_.position_of(index);
    return position < 0 || members_.order()[static_cast<size_t>(position)] == place_on(index);
  });
}

Duration JobRun::cost_of(Rung rung) const {
  if (model_.is_plain) return model_.costs.pod_restart;
  switch (rung) {
    case Rung::SwapSpare:
      return model_.costs.swap;
    case Rung::Shrink:
    case Rung::ChangeMesh:
      return model_.costs.shrink;
    case Rung::Grow:
      return model_.costs.grow;
    default:
      return model_.costs.in_place;  // a pod that is restarted has taken its time already
  }
}

// ---- the accounts ----

double JobRun::stalls_per_work() const {
  double stalls = 0;
  for (const Tier* tier : {&model_.memory, &model_.durable}) {
    if (tier->every > Duration()) stalls += tier->stall.to_seconds() / tier->every.to_seconds();
  }
  return stalls;
}

/// Work per second of stepping, saves included.
double JobRun::rate() const {
  return 1 / (1 / width() + stalls_per_work());
}

double JobRun::progress() const {
  return account_.restored() + std::max((now_ - resume_at_).to_seconds(), 0.0) * rate();
}

double JobRun::saved(const Tier& tier, double progress) {
  if (tier.every <= Duration()) return 0;
  constexpr double kRounding = 1e-9;
  const double every = tier.every.to_seconds();
  return std::min(std::floor(progress / every + kRounding) * every, progress);
}

void JobRun::stop_stepping() {
  add(recovery_, std::min(now_, resume_at_) - since_);
  account_.stepped(now_ - resume_at_, rate(), stalls_per_work());
  since_ = now_;
}

/// The time since the state began, where it is none of stepping.
void JobRun::close_state() {
  if (state_ == State::Broken) add(Category::InfrastructureRecovery, now_ - since_);
  if (state_ == State::Waiting) add(Category::ElasticSliceDown, now_ - since_);
  if (state_ == State::Stopped) {
    add(is_restarting_ ? Category::InfrastructureRecovery : Category::Other, now_ - since_);
  }
  since_ = now_;
}

void JobRun::finish() {
  now_ = model_.wall;
  if (state_ == State::Up) stop_stepping();
  close_state();
  account_.settle(account_.reached());
  result_.categories = account_.categories();
  result_.lost_most = account_.lost_most();
  result_.has_stopped = state_ == State::Stopped && !is_restarting_;
  const double wall = model_.wall.to_seconds();
  result_.goodput = result_.categories[Category::Productive].to_seconds() / wall;
  result_.accelerator_goodput = account_.restored() / wall;
  std::erase_if(result_.categories, [](const auto& each) { return each.second == Duration(); });
}

}  // namespace

JobResult simulate_job(const JobModel& model, const std::vector<NodeEvent>& events) {
  return JobRun(model, events).run();
}

}  // namespace pelton::scenario
