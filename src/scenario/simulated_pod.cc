// SPDX-License-Identifier: Apache-2.0
#include "scenario/simulated_pod.h"

#include <utility>

#include "api/object.h"

namespace pelton::scenario {
namespace {

using base::Duration;
using decide::recovery::Generation;
using decide::recovery::PodReport;
using decide::recovery::WorkerReport;
using decide::recovery::WorkerState;
using launch::FollowerAction;
using launch::WorkerId;

constexpr Duration kPoll = Duration::milliseconds(500);
/// So old may be what is said of the memory while nobody ends here (launch/supervisor.cc).
constexpr Duration kHeldAge = Duration::seconds(2);
constexpr Duration kGrace = Duration::seconds(1);
/// A worker whose task state is T for so long is stopped: that is evidence, as the supervisor's
/// sensor gives it.
constexpr Duration kStopped = Duration::seconds(1);
/// Mostly the parked parent forks; now and then it is not there, and a new interpreter imports.
constexpr double kColdStarts = 0.2;
constexpr int kSigKill = 9, kSigTerm = 15;

}  // namespace

SimulatedPod::SimulatedPod(world::Timers& timers, world::Clock& clock, Trainers& trainers,
                           TrainingJob job, const base::Json& pod, bool is_bad_spare, base::Rng rng)
    : timers_(timers),
      clock_(clock),
      trainers_(trainers),
      job_(std::move(job)),
      uid_(api::uid_of(pod)),
      node_(pod.at("spec.nodeName").as_string()),
      is_bad_spare_(is_bad_spare),
      rng_(rng),
      restart_(timers),
      poll_(timers),
      grace_(timers),
      end_(timers) {
  restart_.start(Duration::milliseconds(rng_.between(20, 100)), [this] { start_supervisor(); });
}

SimulatedPod::~SimulatedPod() {
  for (const auto& [id, child] : children_) {
    if (child.is_running) trainers_.end(job_.uid, id, uid_);
  }
}

void SimulatedPod::connect(Agent agent) {
  agent_ = std::move(agent);
  if (code_) {
    tell_end();
  } else if (told_) {
    agent_.on_report(*told_);
  }
}

void SimulatedPod::tell(const decide::recovery::Generation& generation) {
  if (known_ && known_->number > generation.number) return;
  known_ = generation;
  if (!follower_) return;
  act(follower_->on_generation(generation, false, clock_.now()));
  report();
}

void SimulatedPod::kill_supervisor() {
  if (!follower_ || code_) return;
  follower_.reset();
  poll_.cancel();
  grace_.cancel();
  restart_.start(Duration::milliseconds(rng_.between(50, 500)), [this] { start_supervisor(); });
}

/// It asks init what there is, and reads the record of the newest generation.
void SimulatedPod::start_supervisor() {
  held_before_ = -1;
  follower_ = std::make_unique<launch::Follower>(
      launch::Follower::Settings{.pod_uid = uid_, .ranks = 1, .is_alone = false});
  for (const auto& [id, child] : children_) {
    follower_->restore(id, child.is_running, child.exit, child.ended, clock_.now());
  }
  poll_.start(kPoll, [this] { poll(); });
  if (known_) act(follower_->on_generation(*known_, false, clock_.now()));
  report();
}

void SimulatedPod::act(const launch::FollowerActions& actions) {
  for (const FollowerAction& action : actions) {
    switch (action.kind) {
      case FollowerAction::Kind::Start:
        start_child(action.worker);
        break;
      case FollowerAction::Kind::Signal:
        signal(action.worker, action.number);
        break;
      case FollowerAction::Kind::Forget:
        forget(action.worker);
        break;
      case FollowerAction::Kind::Check:
      case FollowerAction::Kind::Save:
        break;  // not asked for: it has no health check, and its workers do not save on SIGTERM
      case FollowerAction::Kind::Alarm:
        grace_.start(kGrace, [this] {
          act(follower_->on_grace_over(clock_.now()));
          report();
        });
        break;
      case FollowerAction::Kind::Finish:
        return finish(action.number);
    }
  }
}

/// What is being forked cannot be taken back.
void SimulatedPod::forget(WorkerId id) {
  const Child& child = children_.at(id);
  if (child.is_running || child.exit) children_.erase(id);
}

/// A fork; init goes on with it whatever becomes of the supervisor.
void SimulatedPod::start_child(WorkerId id) {
  if (first_generation_ == 0) first_generation_ = id.generation;
  Child& child = children_[id];
  child.timer = std::make_unique<world::Timer>(timers_);
  const Generation generation = *follower_->generation();
  const bool is_cold = rng_.chance(kColdStarts);
  const Duration forking =
      Duration::milliseconds(is_cold ? rng_.between(500, 4000) : rng_.between(20, 80));
  child.timer->start(forking, [this, id, generation] {
    children_.at(id).is_running = true;
    trainers_.start(
        job_, generation, id.rank, {uid_, node_},
        [this, id](world::ExitState how, std::optional<launch::LastWords> words,
                   const Trainers::Page& page) { on_child_exit(id, how, std::move(words), page); });
    if (is_bad_spare_ && first_generation_ > 1) trainers_.fail_device(job_.uid, id, uid_);
    if (!follower_) return;
    act(follower_->on_started(id, clock_.now()));
    report();
  });
}

void SimulatedPod::signal(WorkerId id, int number) {
  Child& child = children_.at(id);
  // A process that is stopped takes no signal but this.
  if (number != kSigKill && trainers_.is_stopped(job_.uid, id, uid_)) return;
  child.timer->start(Duration::milliseconds(rng_.between(1, 20)), [this, id, number] {
    if (!children_.at(id).is_running) return;
    const Trainers::Page page = trainers_.page(job_.uid, id, uid_);
    trainers_.end(job_.uid, id, uid_);
    on_child_exit(id, {.code = {}, .signal = number == kSigKill ? kSigKill : kSigTerm}, {}, page);
  });
}

void SimulatedPod::on_child_exit(WorkerId id, world::ExitState how,
                                 std::optional<launch::LastWords> words,
                                 const Trainers::Page& page) {
  Child& child = children_.at(id);
  child.page = page;
  child.is_running = false;
  child.exit = how;
  child.ended = ++ends_;
  child.words = words;
  if (!follower_) return;
  act(follower_->on_exit(id, how, child.ended, std::move(words), clock_.now()));
  report();
}

void SimulatedPod::poll() {
  poll_.start(kPoll, [this] { poll(); });
  for (auto& [id, child] : children_) {
    const bool is_stopped = child.is_running && trainers_.is_stopped(job_.uid, id, uid_);
    if (is_stopped && child.stopped_at == base::Instant()) child.stopped_at = clock_.now();
  }
  report();
}

void SimulatedPod::report() {
  if (!follower_ || code_) return;
  PodReport report = follower_->report();
  report.parked = true;
  add_progress(report);
  read_memory(report);
  if (told_ == report) return;
  told_ = report;
  if (agent_.on_report) agent_.on_report(report);
}

/// Anew where workers have ended since, for what is decided by; else now and then.
void SimulatedPod::read_memory(PodReport& report) {
  if (report.quiet_before != held_before_ || clock_.now() - held_at_ >= kHeldAge) {
    held_ = trainers_.memory().held(node_, job_.uid);
    held_before_ = report.quiet_before;
    held_at_ = clock_.now();
  }
  report.held = held_;
}

/// What only the pages, and the sensor, say.
void SimulatedPod::add_progress(PodReport& report) const {
  for (WorkerReport& worker : report.workers) {
    const WorkerId id{report.generation, worker.rank};
    const auto child = children_.find(id);
    if (child == children_.end()) continue;
    const Trainers::Page page =
        child->second.is_running ? trainers_.page(job_.uid, id, uid_) : child->second.page;
    if (page.first_step >= 0) {
      report.first_step = page.first_step;
      report.last_step = page.last_step;
      report.first_step_at = page.first_step_at;
      report.last_step_at = page.last_step_at;
      worker.step = page.last_step + 1;
      if (worker.state == WorkerState::Starting) worker.state = WorkerState::Running;
    }
    if (child->second.stopped_at == base::Instant()) continue;
    if (!child->second.is_running || clock_.now() - child->second.stopped_at < kStopped) continue;
    worker.state = WorkerState::Hung;
    worker.cause = "Stopped";
    worker.detail = "its task is stopped";
    worker.since = child->second.stopped_at;
  }
}

void SimulatedPod::finish(int code) {
  code_ = code;
  poll_.cancel();
  tell_end();
}

/// Later: we may be within a call to the follower, and the agent may destroy us.
void SimulatedPod::tell_end() {
  end_.start(Duration(), [this] {
    const auto on_end = agent_.on_end;
    if (on_end) on_end(*code_);
  });
}

}  // namespace pelton::scenario
