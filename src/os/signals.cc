// SPDX-License-Identifier: Apache-2.0
#include "os/signals.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace pelton::os {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

base::Result<std::unique_ptr<StopSignals>> StopSignals::make(Loop& loop,
                                                             std::function<void(int)> fn) {
  const sigset_t set = stop_signals();
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.is_open()) return errno_status("watching signals", errno);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return std::unique_ptr<StopSignals>(new StopSignals(loop, std::move(fd), std::move(fn)));
}

StopSignals::StopSignals(Loop& loop, Fd fd, std::function<void(int)> fn)
    : fd_(std::move(fd)),
      fn_(std::move(fn)),
      watch_(loop, fd_.get(), [this](uint32_t) { on_ready(); }) {
  watch_.set(EPOLLIN);
}

StopSignals::~StopSignals() {
  const sigset_t set = stop_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void StopSignals::on_ready() {
  signalfd_siginfo info{};
  if (::read(fd_.get(), &info, sizeof info) != sizeof info) return;
  const auto fn = fn_;  // it may replace or end this
  fn(static_cast<int>(info.ssi_signo));
}

}  // namespace pelton::os
