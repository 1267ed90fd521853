// SPDX-License-Identifier: Apache-2.0
#include "os/terminal.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace pelton::os {
namespace {

constexpr int kIn = 0, kOut = 1;
/// The alternate screen, without a cursor; and back.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J";
constexpr std::string_view kLeave = "\x1b[0m\x1b[?25h\x1b[?1049l";

sigset_t resize_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGWINCH);
  return set;
}

termios raw_form(termios form) {
  form.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  // Ctrl-S would block our next write, and with it the loop.
  form.c_iflag &= ~static_cast<tcflag_t>(IXON);
  form.c_cc[VMIN] = 1;
  form.c_cc[VTIME] = 0;
  form.c_cc[VSUSP] = form.c_cc[VQUIT] = _POSIX_VDISABLE;
  return form;
}

}  // namespace

base::Result<std::unique_ptr<Screen>> Screen::open(Loop& loop, ScreenEvents events) {
  termios before{};
  if (::isatty(kIn) != 1 || ::isatty(kOut) != 1 || ::tcgetattr(kIn, &before) != 0) {
    return base::Status(base::Code::FailedPrecondition, "stdin and stdout are no terminal");
  }
  const sigset_t set = resize_signal();
  Fd resizes(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!resizes.is_open()) return errno_status("watching the terminal's size", errno);
  const termios raw = raw_form(before);
  if (::tcsetattr(kIn, TCSAFLUSH, &raw) != 0) return errno_status("setting up the terminal", errno);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return std::unique_ptr<Screen>(new Screen(loop, before, std::move(resizes), std::move(events)));
}

Screen::Screen(Loop& loop, const termios& before, Fd resizes, ScreenEvents events)
    : before_(before),
      resizes_(std::move(resizes)),
      events_(std::move(events)),
      input_watch_(loop, kIn, [this](uint32_t) { on_input(); }),
      resize_watch_(loop, resizes_.get(), [this](uint32_t) { on_resize_signal(); }) {
  input_watch_.set(EPOLLIN);
  resize_watch_.set(EPOLLIN);
  write(kEnter);
}

Screen::~Screen() {
  write(kLeave);
  ::tcsetattr(kIn, TCSAFLUSH, &before_);
  const sigset_t set = resize_signal();
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

world::TerminalSize Screen::size() const {
  winsize size{};
  if (::ioctl(kOut, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

void Screen::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(kOut, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // a terminal that is gone tells by its input
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

void Screen::on_input() {
  char keys[64];
  const ssize_t n = ::read(kIn, keys, sizeof keys);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n <= 0) {
    input_watch_.set(0);
    const auto gone = events_.on_gone;  // it may end this
    return gone();
  }
  const auto on_key = events_.on_key;
  for (ssize_t i = 0; i < n; ++i) on_key(keys[i]);
}

void Screen::on_resize_signal() {
  signalfd_siginfo info{};
  while (::read(resizes_.get(), &info, sizeof info) == sizeof info) {
  }
  const auto on_resize = events_.on_resize;
  on_resize();
}

}  // namespace pelton::os
