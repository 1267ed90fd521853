// SPDX-License-Identifier: Apache-2.0
#include "launch/follower.h"

#include <algorithm>
#include <utility>

#include "decide/recovery/evidence.h"

namespace pelton::launch {
namespace {

using decide::recovery::Generation;
using decide::recovery::PodReport;
using decide::recovery::WorkerReport;
using decide::recovery::WorkerState;

constexpr int kUnfitCode = 126;  // a shell's for what is there and cannot be run
constexpr int kSigInt = 2;
constexpr int kSigKill = 9;
constexpr int kSigTerm = 15;

std::string signal_name(int number) {
  switch (number) {
    case 1:
      return "SIGHUP";
    case 2:
      return "SIGINT";
    case 3:
      return "SIGQUIT";
    case 4:
      return "SIGILL";
    case 6:
      return "SIGABRT";
    case 7:
      return "SIGBUS";
    case 8:
      return "SIGFPE";
    case 9:
      return "SIGKILL";
    case 11:
      return "SIGSEGV";
    case 13:
      return "SIGPIPE";
    case 15:
      return "SIGTERM";
    default:
      return "Signal" + std::to_string(number);
  }
}

}  // namespace

void Follower::restore(WorkerId worker, bool is_running, std::optional<world::ExitState> exit,
                       int64_t ended, base::Instant now) {
  Worker& restored = workers_[worker];
  restored.state = exit ? State::Ended : is_running ? State::Alive : State::Asked;
  restored.exit = exit;
  restored.ended = ended;
  restored.since = now;
}

void Follower::restore_hang(WorkerId worker, Hang hang) {
  const auto found = workers_.find(worker);
  if (found != workers_.end()) found->second.hang = std::move(hang);
}

FollowerActions Follower::on_generation(const Generation& generation, bool is_last,
                                        base::Instant now) {
  if (generation_ && generation.number < generation_->number) return {};
  if (generation_ && generation.number == generation_->number) {
    // What has been stopped is not run again under the same number.
    if (generation_->phase != Generation::Phase::Running &&
        generation.phase == Generation::Phase::Running) {
      return {};
    }
    // What has been begun is not put in question again.
    if (!generation_->is_restore_open && generation.is_restore_open) return {};
  } else {
    refusal_.reset();
    if (!ordered_) is_grace_over_ = false;
  }
  generation_ = generation;
  is_last_ = is_last;
  return go_on(now);
}

FollowerActions Follower::on_started(WorkerId worker, base::Instant now) {
  const auto found = workers_.find(worker);
  if (found == workers_.end() || found->second.state != State::Asked) return {};
  found->second.state = State::Alive;
  found->second.since = now;
  return go_on(now);
}

FollowerActions Follower::on_not_started(WorkerId worker, const base::Status& why,
                                         base::Instant now) {
  const auto found = workers_.find(worker);
  if (found == workers_.end() || found->second.state != State::Asked) return {};
  workers_.erase(found);
  const bool is_current = generation_ && generation_->number == worker.generation;
  if (worker.rank == kCoordinator) {
    has_coordinator_ = false;  // rank 0 serves it, as it does without us
  } else if (is_current) {
    refusal_ = why;
  }
  return go_on(now);
}

FollowerActions Follower::on_exit(WorkerId worker, world::ExitState how, int64_t ended,
                                  std::optional<LastWords> words, base::Instant now) {
  const auto found = workers_.find(worker);
  if (found == workers_.end() || !is_there(found->second)) return {};
  found->second.state = State::Ended;
  found->second.exit = how;
  found->second.ended = ended;
  found->second.words = std::move(words);
  found->second.since = now;
  return go_on(now);
}

FollowerActions Follower::check_early() {
  if (!settings_.has_check || generation_ || asked_check_ >= 0) return {};
  asked_check_ = 0;
  return {{FollowerAction::Kind::Check, {}, 0}};
}

FollowerActions Follower::on_checked(int64_t generation, const base::Status& how,
                                     base::Instant now) {
  if (generation != asked_check_) return {};
  if (how.ok()) {
    checked_ = generation;
  } else {
    unfit_ = how;
  }
  return go_on(now);
}

bool Follower::is_unfit() const {
  return unfit_ && (!is_member() || asked_check_ == generation_->number);
}

FollowerActions Follower::on_hang(WorkerId worker, Hang hang, base::Instant now) {
  const auto found = workers_.find(worker);
  if (found == workers_.end() || found->second.state != State::Alive || !may_run(worker)) return {};
  found->second.hang = std::move(hang);
  return go_on(now);
}

FollowerActions Follower::on_saved(base::Instant now) {
  if (!std::exchange(is_saving_, false)) return {};
  would_save_ = false;
  return on_signal(kSigTerm, now);
}

FollowerActions Follower::on_signal(int number, base::Instant now) {
  if (number == kSigTerm && would_save_ && !ordered_ && !is_saving_ && is_running_generation()) {
    is_saving_ = true;
    return {{FollowerAction::Kind::Save, {}, 0}};
  }
  is_saving_ = false;
  // Said twice, it is meant: Ctrl-C again does not wait out the grace period.
  if (ordered_ && number == kSigInt) is_grace_over_ = true;
  if (!ordered_) ordered_ = number;
  last_ordered_ = number;
  for (auto& [id, worker] : workers_) {
    // Also to those that were asked to end by another signal.
    if (worker.sent != kSigKill) worker.sent = 0;
  }
  return go_on(now);
}

FollowerActions Follower::on_grace_over(base::Instant now) {
  has_alarm_ = false;
  is_grace_over_ = true;
  return go_on(now);
}

/// Looks at what is there and at what should be, and does the next thing.
FollowerActions Follower::go_on(base::Instant now) {
  FollowerActions actions;
  if (is_finished_) return actions;
  // Nothing is begun again by who is to end.
  if (is_saving_ && first_failure() != nullptr) return on_saved(now);
  end_what_must_not_run(actions);
  const bool must_wait = std::any_of(workers_.begin(), workers_.end(), [this](const auto& entry) {
    return is_there(entry.second) && !may_run(entry.first);
  });
  if (must_wait) return actions;
  if (const std::optional<int> code = exit_code()) {
    is_finished_ = true;
    actions.push_back({FollowerAction::Kind::Finish, {}, *code});
    return actions;
  }
  forget_older(actions);
  if (is_running_generation() && !generation_->is_restore_open) start_what_is_missing(actions, now);
  return actions;
}

void Follower::end_what_must_not_run(FollowerActions& actions) {
  for (auto& [id, worker] : workers_) {
    // One that is being started is ended when it has: only then can it be.
    if (worker.state == State::Alive && !may_run(id)) end_worker(id, worker, actions);
  }
}

void Follower::end_worker(const WorkerId& id, Worker& worker, FollowerActions& actions) {
  const bool is_asked_first =
      !is_grace_over_ && id.rank != kCoordinator && !worker.hang &&
      (ordered_ || (is_last_ && generation_ && id.generation == generation_->number));
  const int number = !is_asked_first ? kSigKill : ordered_ ? last_ordered_ : kSigTerm;
  if (worker.sent == number || worker.sent == kSigKill) return;
  worker.sent = number;
  actions.push_back({FollowerAction::Kind::Signal, id, number});
  if (is_asked_first && !std::exchange(has_alarm_, true)) {
    actions.push_back({FollowerAction::Kind::Alarm, {}, 0});
  }
}

void Follower::start_what_is_missing(FollowerActions& actions, base::Instant now) {
  const size_t index = *generation_->index_of(settings_.pod_uid);
  const int first = generation_->first_rank_of(index);
  const int count = generation_->members[index].ranks;
  const auto has = [this](int rank) { return workers_.contains({generation_->number, rank}); };
  const auto start = [&](int rank) {
    const WorkerId id{generation_->number, rank};
    workers_[id].since = now;
    actions.push_back({FollowerAction::Kind::Start, id, 0});
  };
  bool has_begun = false;
  for (int rank = first; rank < first + count; ++rank) has_begun = has_begun || has(rank);
  if (settings_.has_check && !has_begun && checked_ != generation_->number) {
    if (asked_check_ == generation_->number) return;
    asked_check_ = generation_->number;
    unfit_.reset();
    actions.push_back({FollowerAction::Kind::Check, {asked_check_, 0}, 0});
    return;
  }
  if (index == 0 && has_coordinator_ && !has_begun && !has(kCoordinator)) start(kCoordinator);
  const auto service = workers_.find({generation_->number, kCoordinator});
  // A rank that dials before anybody listens waits a second more.
  if (service != workers_.end() && service->second.state == State::Asked) return;
  for (int rank = first; rank < first + count; ++rank) {
    if (!has(rank)) start(rank);
  }
}

void Follower::forget_older(FollowerActions& actions) {
  if (!generation_) return;
  for (auto entry = workers_.begin(); entry != workers_.end();) {
    if (entry->first.generation >= generation_->number) break;
    actions.push_back({FollowerAction::Kind::Forget, entry->first, 0});
    entry = workers_.erase(entry);
  }
}

/// Where everything is over: none of the workers that must not run is there any more.
std::optional<int> Follower::exit_code() const {
  if (ordered_) return 128 + *ordered_;
  if (!generation_) return std::nullopt;
  if (is_unfit() && settings_.is_alone) return kUnfitCode;
  if (refusal_ && settings_.is_alone) return refusal_->code() == base::Code::NotFound ? 127 : 126;
  if (generation_->phase == Generation::Phase::Finished) return 0;
  if (generation_->phase != Generation::Phase::Failed) return std::nullopt;
  const Worker* failure = first_failure();
  const bool has_code = settings_.is_alone && failure != nullptr && failure->exit &&
                        !(failure->hang && failure->hang->has_raised);
  return has_code ? failure->exit->shell_code() : 1;
}

bool Follower::is_member() const {
  return generation_ && generation_->index_of(settings_.pod_uid).has_value();
}

bool Follower::is_running_generation() const {
  return is_member() && generation_->phase == Generation::Phase::Running && !ordered_ &&
         !refusal_ && !is_unfit() && first_failure() == nullptr;
}

bool Follower::may_run(const WorkerId& id) const {
  return is_running_generation() && id.generation == generation_->number;
}

const Follower::Worker* Follower::first_failure() const {
  const Worker* first = nullptr;
  if (!generation_) return first;
  for (const auto& [id, worker] : workers_) {
    if (id.generation != generation_->number || id.rank == kCoordinator) continue;
    if (worker.hang) return &worker;  // all others had not failed then
    if (!worker.exit || worker.exit->shell_code() == 0 || worker.sent != 0) continue;
    if (first == nullptr || worker.ended < first->ended) first = &worker;
  }
  return first;
}

/// What ends a worker after the first failure is mostly us; a successor no longer knows for sure.
bool Follower::was_ended_by_us(const Worker& worker, const Worker* failure) const {
  if (worker.sent != 0) return true;
  const bool is_later = failure != nullptr && (failure->hang || worker.ended > failure->ended);
  return is_later && worker.exit->signal &&
         (*worker.exit->signal == kSigKill || *worker.exit->signal == kSigTerm);
}

bool Follower::have_all_succeeded() const {
  if (!is_member()) return false;
  int succeeded = 0;
  for (const auto& [id, worker] : workers_) {
    if (id.generation == generation_->number && id.rank != kCoordinator && worker.exit &&
        worker.exit->shell_code() == 0) {
      ++succeeded;
    }
  }
  return succeeded == generation_->members[*generation_->index_of(settings_.pod_uid)].ranks;
}

std::vector<WorkerId> Follower::running() const {
  std::vector<WorkerId> ids;
  for (const auto& [id, worker] : workers_) {
    if (generation_ && id.generation == generation_->number && id.rank != kCoordinator &&
        worker.state == State::Alive) {
      ids.push_back(id);
    }
  }
  return ids;
}

bool Follower::is_coordinated() const {
  if (!generation_) return false;
  const auto service = workers_.find({generation_->number, kCoordinator});
  return service != workers_.end() && service->second.state == State::Alive;
}

WorkerReport Follower::report_of(const WorkerId& id, const Worker& worker,
                                 const Worker* failure) const {
  WorkerReport report;
  report.rank = id.rank;
  report.since = worker.since;
  if (worker.hang) {
    report.state = worker.hang->has_raised ? WorkerState::Raised : WorkerState::Hung;
    report.cause = worker.hang->cause;
    report.detail = worker.hang->detail;
    report.since = worker.hang->since;
    return report;
  }
  if (!worker.exit) return report;
  if (worker.exit->shell_code() == 0) {
    report.state = WorkerState::Succeeded;
  } else if (&worker != failure && was_ended_by_us(worker, failure)) {
    report.state = WorkerState::Running;
    report.cause = "Ended";
    report.detail = "by its supervisor";
  } else {
    report.state = WorkerState::Exited;
    report.exit_code = worker.exit->code;
    report.signal = worker.exit->signal;
    report.cause = worker.exit->signal ? signal_name(*worker.exit->signal) : "Error";
    if (worker.words && !worker.exit->signal) {
      report.state = WorkerState::Raised;
      report.cause = worker.words->type;
      report.detail = worker.words->message;
      if (!worker.words->where.empty()) report.detail += " (" + worker.words->where + ")";
    }
  }
  return report;
}

int64_t Follower::quiet_before() const {
  const int64_t present = generation_ ? generation_->number : 0;
  int64_t oldest = present + 1;  // nobody is there, and nobody of this generation will be again
  const bool is_to_begin = is_running_generation();
  for (const auto& [id, worker] : workers_) {
    if (is_there(worker)) oldest = std::min(oldest, id.generation);
  }
  return is_to_begin ? std::min(oldest, present) : oldest;
}

PodReport Follower::report() const {
  PodReport report;
  report.ranks = settings_.ranks;
  report.generation = generation_ ? generation_->number : 0;
  const Worker* failure = first_failure();
  bool is_any_there = false;  // of whichever generation: what is still being ended counts
  for (const auto& [id, worker] : workers_) {
    is_any_there = is_any_there || is_there(worker);
    if (!is_member() || id.generation != generation_->number || id.rank == kCoordinator) continue;
    report.workers.push_back(report_of(id, worker, failure));
  }
  report.quiet_before = quiet_before();
  if (is_member() || is_any_there) report.stage = PodReport::Stage::Running;
  if (is_unfit()) {
    report.stage = PodReport::Stage::Refused;
    report.cause = decide::recovery::kHealthCheck;
    report.detail = unfit_->message();
    return report;
  }
  if (!is_member()) return report;
  if (refusal_) {
    report.stage = PodReport::Stage::Refused;
    report.detail = refusal_->message();
  } else if (failure != nullptr && !is_any_there) {
    report.stage = PodReport::Stage::Stopped;
  } else if (have_all_succeeded()) {
    report.stage = PodReport::Stage::Succeeded;
  } else if (generation_->phase == Generation::Phase::Waiting && !is_any_there) {
    report.stage = PodReport::Stage::Stopped;
  }
  return report;
}

}  // namespace pelton::launch
