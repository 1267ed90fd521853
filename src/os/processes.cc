// SPDX-License-Identifier: Apache-2.0
#include "os/processes.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>

#include "os/enter.h"
#include "os/process_activity.h"
#include "os/process_streams.h"
#include "os/spawn.h"

namespace pelton::os {
namespace {

// Not the C library's functions: glibc 2.36 declares them for C only.
int pidfd_open(int pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

int pidfd_send_signal(int pidfd, int number) {
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0));
}

world::ExitState exit_state(const siginfo_t& info) {
  world::ExitState state;
  (info.si_code == CLD_EXITED ? state.code : state.signal) = info.si_status;
  return state;
}

/// Orphans whose end is remembered until somebody asks for them.
constexpr size_t kEndedOrphans = 256;

}  // namespace

/// A process that we watch. The callbacks are dropped when its holder goes; the watching goes on
/// for a child, because somebody must reap it.
class OsProcesses::Watched : public std::enable_shared_from_this<Watched> {
 public:
  enum class Kind : uint8_t { Stranger, Child, LeaderOfChildren };
  Watched(Loop& loop, int pid, Fd pidfd, Kind kind)
      : loop_(loop), pid_(pid), kind_(kind), pidfd_(std::move(pidfd)) {}

  void watch_exit(std::function<void()> ended, std::function<void(world::ExitState)> on_exit) {
    ended_ = std::move(ended);
    on_exit_ = std::move(on_exit);
    exit_watch_ =
        std::make_unique<Loop::Watch>(loop_, pidfd_.get(), [this](uint32_t) { finish(reap()); });
    exit_watch_->set(EPOLLIN);
  }

  /// It has ended, and is reaped where it is ours.
  void finish(world::ExitState state) {
    const auto self = shared_from_this();
    has_ended_ = true;
    exit_watch_.reset();
    const auto tell = std::exchange(on_exit_, nullptr);
    if (ended_) ended_();
    if (tell) tell(state);
  }

  /// How it ended was known before it was watched.
  void finish_later(world::ExitState state, std::function<void(world::ExitState)> on_exit) {
    on_exit_ = std::move(on_exit);
    has_ended_ = true;
    loop_.after({}, [self = shared_from_this(), state] { self->finish(state); });
  }

  world::ExitState reap() {
    world::ExitState state;
    if (kind_ == Kind::Stranger) return state;
    if (kind_ == Kind::LeaderOfChildren) kill_group_if_failed();
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG) != 0 ||
        info.si_pid == 0) {
      return state;
    }
    return exit_state(info);
  }

  void watch_streams(Spawned child, world::ProcessSpec& spec) {
    if (child.input.is_open()) {
      input_ = std::make_unique<InputPipe>(loop_, std::move(child.input),
                                           std::move(spec.on_input_drained));
    }
    if (child.output.is_open()) {
      has_terminal_ = spec.terminal.has_value();
      output_ =
          std::make_unique<OutputPipe>(loop_, std::move(child.output), std::move(spec.on_output));
    }
    if (child.error_output.is_open()) {
      error_output_ = std::make_unique<OutputPipe>(loop_, std::move(child.error_output),
                                                   std::move(spec.on_error_output));
    }
  }

  void drop_callbacks() {
    on_exit_ = nullptr;
    input_.reset();
    output_.reset();
    error_output_.reset();
    if (kind_ == Kind::Stranger) exit_watch_.reset();
  }

  InputPipe* input() const { return input_.get(); }
  bool has_terminal() const { return has_terminal_; }
  OutputPipe* output() const { return output_.get(); }
  OutputPipe* error_output() const { return error_output_.get(); }
  int pid() const { return pid_; }

  base::Status signal(int number) const {
    if (has_ended_) return gone();
    if (pidfd_send_signal(pidfd_.get(), number) == 0) return base::ok();
    return errno == ESRCH ? gone() : errno_status("signalling " + name(), errno);
  }

  base::Status signal_group(int number) const {
    if (has_ended_) return gone();
    const pid_t group = ::getpgid(pid_);
    if (group < 0) return gone();
    if (group == ::getpgrp()) {
      return {base::Code::FailedPrecondition, name() + " is in our own process group"};
    }
    if (::kill(-group, number) == 0) return base::ok();
    return errno == ESRCH ? gone() : errno_status("signalling the group of " + name(), errno);
  }

 private:
  /// While it is not reaped its number is its group's and nobody else's.
  void kill_group_if_failed() const {
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG | WNOWAIT) !=
            0 ||
        info.si_pid == 0 || exit_state(info).shell_code() == 0) {
      return;
    }
    ::kill(-pid_, SIGKILL);
  }
  std::string name() const { return "process " + std::to_string(pid_); }
  base::Status gone() const { return base::not_found(name() + " has ended"); }

  Loop& loop_;
  const int pid_;
  const Kind kind_;
  bool has_ended_ = false;
  bool has_terminal_ = false;
  Fd pidfd_;
  std::function<void()> ended_;
  std::function<void(world::ExitState)> on_exit_;
  std::unique_ptr<Loop::Watch> exit_watch_;
  std::unique_ptr<InputPipe> input_;
  std::unique_ptr<OutputPipe> output_, error_output_;
};

class OsProcesses::Handle final : public world::Process {
 public:
  explicit Handle(std::shared_ptr<Watched> process) : process_(std::move(process)) {}
  ~Handle() override { process_->drop_callbacks(); }
  int pid() const override { return process_->pid(); }
  base::Status signal(int number) override { return process_->signal(number); }
  base::Status signal_group(int number) override { return process_->signal_group(number); }
  void write(std::string_view bytes) override {
    if (InputPipe* input = process_->input()) input->write(bytes);
  }
  size_t queued_input() const override {
    const InputPipe* input = process_->input();
    return input == nullptr ? 0 : input->queued_bytes();
  }
  void end_input() override {
    InputPipe* input = process_->input();
    if (input != nullptr && !process_->has_terminal()) input->end();
  }
  void pause_output() override {
    for (OutputPipe* pipe : {process_->output(), process_->error_output()}) {
      if (pipe != nullptr) pipe->pause();
    }
  }
  void resume_output() override {
    for (OutputPipe* pipe : {process_->output(), process_->error_output()}) {
      if (pipe != nullptr) pipe->resume();
    }
  }
  void resize_terminal(world::TerminalSize size) override {
    const OutputPipe* output = process_->output();
    if (process_->has_terminal() && output != nullptr && output->fd() >= 0) {
      set_terminal_size(output->fd(), size);
    }
  }

 private:
  std::shared_ptr<Watched> process_;
};

OsProcesses::~OsProcesses() {
  for (auto& [pid, process] : running_) process->drop_callbacks();
}

base::Result<std::unique_ptr<world::Process>> OsProcesses::spawn(
    world::ProcessSpec spec, std::function<void(world::ExitState)> on_exit) {
  PELTON_ASSIGN(Spawned child, fork_and_exec(spec));
  Fd pidfd(pidfd_open(child.pid));
  if (!pidfd.is_open()) {
    const base::Status status =
        errno_status("watching process " + std::to_string(child.pid), errno);
    ::kill(child.pid, SIGKILL);
    ::waitpid(child.pid, nullptr, 0);
    return status;
  }
  const int pid = child.pid;
  const bool takes_group = spec.new_session && spec.take_group_along;
  auto handle = watch_child(pid, std::move(pidfd), takes_group, std::move(on_exit));
  running_[pid]->watch_streams(std::move(child), spec);
  return handle;
}

std::unique_ptr<world::Process> OsProcesses::watch_child(
    int pid, Fd pidfd, bool takes_group, std::function<void(world::ExitState)> on_exit) {
  const auto kind = takes_group ? Watched::Kind::LeaderOfChildren : Watched::Kind::Child;
  auto process = std::make_shared<Watched>(loop_, pid, std::move(pidfd), kind);
  running_[pid] = process;
  process->watch_exit([this, pid] { running_.erase(pid); }, std::move(on_exit));
  return std::make_unique<Handle>(std::move(process));
}

base::Status OsProcesses::keep_orphans() {
  if (child_watch_) return base::ok();
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return errno_status("keeping orphans", errno);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  child_signals_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!child_signals_.is_open()) return errno_status("watching children", errno);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  child_watch_ = std::make_unique<Loop::Watch>(loop_, child_signals_.get(), [this](uint32_t) {
    signalfd_siginfo info{};
    // Several ends may be one signal: what has ended is asked for, not read from it.
    while (::read(child_signals_.get(), &info, sizeof info) == sizeof info) {
    }
    reap_all();
  });
  child_watch_->set(EPOLLIN);
  return base::ok();
}

void OsProcesses::reap_all() {
  for (;;) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    const auto known = running_.find(info.si_pid);
    if (known != running_.end()) {
      const auto process = known->second;
      process->finish(process->reap());
      continue;
    }
    ::waitpid(info.si_pid, nullptr, 0);
    ended_orphans_.emplace_back(info.si_pid, exit_state(info));
    if (ended_orphans_.size() > kEndedOrphans) ended_orphans_.pop_front();
  }
}

base::Result<std::unique_ptr<world::Process>> OsProcesses::adopt(
    int pid, std::function<void(world::ExitState)> on_exit) {
  if (running_.contains(pid)) {
    return base::Status(base::Code::AlreadyExists,
                        "process " + std::to_string(pid) + " is held already");
  }
  Fd pidfd(pidfd_open(pid));
  if (pidfd.is_open()) return watch_child(pid, std::move(pidfd), true, std::move(on_exit));
  const auto ended = std::find_if(ended_orphans_.rbegin(), ended_orphans_.rend(),
                                  [pid](const auto& orphan) { return orphan.first == pid; });
  if (ended == ended_orphans_.rend()) {
    return base::not_found("there is no process " + std::to_string(pid));
  }
  auto process = std::make_shared<Watched>(loop_, pid, Fd(), Watched::Kind::Child);
  process->finish_later(ended->second, std::move(on_exit));
  ended_orphans_.erase(std::next(ended).base());
  return std::unique_ptr<world::Process>(std::make_unique<Handle>(std::move(process)));
}

std::vector<int> OsProcesses::orphans() {
  const std::string self = std::to_string(::getpid());
  std::ifstream children("/proc/self/task/" + self + "/children");
  std::vector<int> found;
  for (int pid = 0; children >> pid;) {
    if (!running_.contains(pid)) found.push_back(pid);
  }
  return found;
}

base::Result<uint64_t> OsProcesses::start_ticks(int pid) {
  return read_start_ticks(pid);
}

base::Result<world::ProcessActivity> OsProcesses::activity(int pid, bool with_sockets) {
  return read_activity(pid, with_sockets);
}

base::Result<std::unique_ptr<world::Process>> OsProcesses::attach(
    int pid, uint64_t expected_start, std::function<void(world::ExitState)> on_exit) {
  Fd pidfd(pidfd_open(pid));
  if (!pidfd.is_open()) {
    return errno == ESRCH ? base::not_found("there is no process " + std::to_string(pid))
                          : errno_status("watching process " + std::to_string(pid), errno);
  }
  // After the pidfd: what is read now is about the process that the pidfd names, or a successor.
  PELTON_ASSIGN(const uint64_t start, start_ticks(pid));
  if (start != expected_start) {
    return base::not_found("process " + std::to_string(pid) + " is another one by now");
  }
  auto process = std::make_shared<Watched>(loop_, pid, std::move(pidfd), Watched::Kind::Stranger);
  process->watch_exit([] {}, std::move(on_exit));
  return std::unique_ptr<world::Process>(std::make_unique<Handle>(std::move(process)));
}

}  // namespace pelton::os
