// SPDX-License-Identifier: Apache-2.0
#include "launch/group.h"

namespace pelton::launch {
namespace {

constexpr int kSigHup = 1;
constexpr int kSigInt = 2;
constexpr int kSigQuit = 3;
constexpr int kSigKill = 9;
constexpr int kSigTerm = 15;

bool asks_to_stop(int signal) {
  return signal == kSigTerm || signal == kSigInt || signal == kSigHup || signal == kSigQuit;
}

}  // namespace

Group::Group(int workers, int max_restarts) : workers_(workers), max_restarts_(max_restarts) {}

std::vector<Action> Group::begin() {
  running_ = workers_;
  return {{Action::Kind::Start, attempt_}};
}

std::vector<Action> Group::on_exit(int /*local_rank*/, const world::ExitState& how) {
  --running_;
  const int code = how.shell_code();
  const bool is_first_failure = code != 0 && !stopping_ && !failure_;
  if (is_first_failure) failure_ = code;
  if (running_ == 0) return after_last_exit();
  return is_first_failure ? stop_all(kSigTerm) : std::vector<Action>{};
}

std::vector<Action> Group::on_signal(int number) {
  if (!asks_to_stop(number)) return {{Action::Kind::Signal, number}};
  // Said twice, it is meant: Ctrl-C again does not wait out the grace period.
  if (ordered_ && number == kSigInt) return {{Action::Kind::Signal, kSigKill}};
  if (!ordered_) ordered_ = 128 + number;
  if (running_ == 0) return {{Action::Kind::Finish, *ordered_}};
  if (stopping_) return {{Action::Kind::Signal, number}};
  return stop_all(number);
}

std::vector<Action> Group::on_grace_over() {
  if (!stopping_ || running_ == 0) return {};
  return {{Action::Kind::Signal, kSigKill}};
}

std::vector<Action> Group::stop_all(int signal) {
  stopping_ = true;
  return {{Action::Kind::Signal, signal}, {Action::Kind::Alarm}};
}

std::vector<Action> Group::after_last_exit() {
  stopping_ = false;
  if (ordered_) return {{Action::Kind::Finish, *ordered_}};
  if (!failure_) return {{Action::Kind::Finish, 0}};
  if (attempt_ >= max_restarts_) return {{Action::Kind::Finish, *failure_}};
  ++attempt_;
  failure_.reset();
  return begin();
}

}  // namespace pelton::launch
