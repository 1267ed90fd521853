// SPDX-License-Identifier: Apache-2.0
#include "os/processes.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/strings.h"
#include "os/spawn.h"

namespace pelton::os {
namespace {

constexpr size_t kPieceSize = 64 * 1024;

// Not the C library's functions: glibc 2.36 declares them for C only.
int pidfd_open(int pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

int pidfd_send_signal(int pidfd, int number) {
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0));
}

}  // namespace

/// A process that we watch. The callbacks are dropped when its holder goes; the watching goes on
/// for a child, because somebody must reap it.
class OsProcesses::Watched : public std::enable_shared_from_this<Watched> {
 public:
  Watched(Loop& loop, int pid, Fd pidfd, bool is_child)
      : loop_(loop), pid_(pid), is_child_(is_child), pidfd_(std::move(pidfd)) {}

  void watch_exit(std::function<void()> ended, std::function<void(world::ExitState)> on_exit) {
    ended_ = std::move(ended);
    on_exit_ = std::move(on_exit);
    exit_watch_ = std::make_unique<Loop::Watch>(loop_, pidfd_.get(), [this](uint32_t) {
      const auto self = shared_from_this();
      const world::ExitState state = reap();
      has_ended_ = true;
      exit_watch_.reset();
      const auto tell = std::exchange(on_exit_, nullptr);
      ended_();
      if (tell) tell(state);
    });
    exit_watch_->set(EPOLLIN);
  }

  /// stdout's pipe, and stderr's where it has one of its own.
  void watch_output(Fd output, std::function<void(std::string_view)> on_output) {
    watch(stdout_, std::move(output), std::move(on_output));
  }
  void watch_error_output(Fd output, std::function<void(std::string_view)> on_output) {
    watch(stderr_, std::move(output), std::move(on_output));
  }

  void drop_callbacks() {
    on_exit_ = nullptr;
    stdout_.close();
    stderr_.close();
    if (!is_child_) exit_watch_.reset();
  }

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
  std::string name() const { return "process " + std::to_string(pid_); }
  base::Status gone() const { return base::not_found(name() + " has ended"); }

  world::ExitState reap() {
    world::ExitState state;
    if (!is_child_) return state;
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG) != 0 ||
        info.si_pid == 0) {
      return state;
    }
    (info.si_code == CLD_EXITED ? state.code : state.signal) = info.si_status;
    return state;
  }

  using OnOutput = std::function<void(std::string_view)>;
  struct Output {
    Fd fd;
    std::shared_ptr<OnOutput> tell;
    std::unique_ptr<Loop::Watch> watch;
    void close() {
      tell = nullptr;
      watch.reset();
      fd.reset();
    }
  };

  void watch(Output& output, Fd fd, OnOutput on_output) {
    output.fd = std::move(fd);
    output.tell = std::make_shared<OnOutput>(std::move(on_output));
    output.watch = std::make_unique<Loop::Watch>(loop_, output.fd.get(),
                                                 [this, &output](uint32_t) { read(output); });
    output.watch->set(EPOLLIN);
  }

  void read(Output& output) {
    static thread_local std::string buffer(kPieceSize, '\0');
    const auto self = shared_from_this();
    const auto tell = output.tell;
    const ssize_t n = ::read(output.fd.get(), buffer.data(), buffer.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0) return (*tell)({buffer.data(), static_cast<size_t>(n)});
    output.close();
    (*tell)({});
  }

  Loop& loop_;
  const int pid_;
  const bool is_child_;
  bool has_ended_ = false;
  Fd pidfd_;
  std::function<void()> ended_;
  std::function<void(world::ExitState)> on_exit_;
  std::unique_ptr<Loop::Watch> exit_watch_;
  Output stdout_, stderr_;
};

class OsProcesses::Handle final : public world::Process {
 public:
  explicit Handle(std::shared_ptr<Watched> process) : process_(std::move(process)) {}
  ~Handle() override { process_->drop_callbacks(); }
  int pid() const override { return process_->pid(); }
  base::Status signal(int number) override { return process_->signal(number); }
  base::Status signal_group(int number) override { return process_->signal_group(number); }

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
  auto process = std::make_shared<Watched>(loop_, child.pid, std::move(pidfd), true);
  running_[child.pid] = process;
  process->watch_exit([this, pid = child.pid] { running_.erase(pid); }, std::move(on_exit));
  if (spec.on_output) process->watch_output(std::move(child.output), std::move(spec.on_output));
  if (spec.on_error_output) {
    process->watch_error_output(std::move(child.error_output), std::move(spec.on_error_output));
  }
  return std::unique_ptr<world::Process>(std::make_unique<Handle>(std::move(process)));
}

base::Result<uint64_t> OsProcesses::start_ticks(int pid) {
  const base::Status gone = base::not_found("there is no process " + std::to_string(pid));
  const Fd fd(::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  char text[1024];
  const ssize_t n = fd.is_open() ? ::read(fd.get(), text, sizeof text) : -1;
  if (n <= 0) return gone;
  // The program's name, in parentheses, may hold anything: count the fields after the last one.
  const std::string_view stat(text, static_cast<size_t>(n));
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return gone;
  const auto fields = base::split(base::trim(stat.substr(name_end + 1)), ' ');
  if (fields.size() < 20 || fields[0] == "Z" || fields[0] == "X") return gone;
  PELTON_ASSIGN(const int64_t ticks, base::parse_int(fields[19]));
  return static_cast<uint64_t>(ticks);
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
  auto process = std::make_shared<Watched>(loop_, pid, std::move(pidfd), false);
  process->watch_exit([] {}, std::move(on_exit));
  return std::unique_ptr<world::Process>(std::make_unique<Handle>(std::move(process)));
}

}  // namespace pelton::os
