// SPDX-License-Identifier: Apache-2.0
#include "os/process_streams.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

namespace pelton::os {
namespace {

constexpr size_t kPieceSize = 64 * 1024;
/// What was written is dropped from the front of the queue when it is this much.
constexpr size_t kCompactSize = 256 * 1024;

}  // namespace

OutputPipe::OutputPipe(Loop& loop, Fd fd, OnOutput on_output)
    : fd_(std::move(fd)), on_output_(std::make_shared<OnOutput>(std::move(on_output))) {
  watch_ = std::make_unique<Loop::Watch>(loop, fd_.get(), [this](uint32_t) { read(); });
  watch_->set(EPOLLIN);
}

void OutputPipe::set(uint32_t events) {
  if (watch_) watch_->set(events);
}

void OutputPipe::resume() {
  set(EPOLLIN);
}

void OutputPipe::read() {
  static thread_local std::string buffer(kPieceSize, '\0');
  const auto on_output = on_output_;  // it may destroy this
  const ssize_t n = ::read(fd_.get(), buffer.data(), buffer.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n > 0) return (*on_output)({buffer.data(), static_cast<size_t>(n)});
  // The end; a terminal that nobody has open any more answers EIO.
  watch_.reset();
  fd_.reset();
  (*on_output)({});
}

InputPipe::InputPipe(Loop& loop, Fd fd, std::function<void()> on_drained)
    : fd_(std::move(fd)),
      on_drained_(std::make_shared<std::function<void()>>(std::move(on_drained))) {
  watch_ = std::make_unique<Loop::Watch>(loop, fd_.get(), [this](uint32_t) { on_writable(); });
}

void InputPipe::write(std::string_view bytes) {
  if (!fd_.is_open() || is_ending_ || bytes.empty()) return;
  const bool was_empty = queued_bytes() == 0;
  queue_.append(bytes);
  if (was_empty && !flush()) return close();
  if (queued_bytes() > 0) watch_->set(EPOLLOUT);
}

void InputPipe::end() {
  is_ending_ = true;
  if (queued_bytes() == 0) close();
}

/// False where nobody reads any more.
bool InputPipe::flush() {
  while (queued_bytes() > 0) {
    const ssize_t n = ::write(fd_.get(), queue_.data() + written_, queued_bytes());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) return false;
    written_ += static_cast<size_t>(n);
  }
  if (queued_bytes() == 0 || written_ >= kCompactSize) {
    queue_.erase(0, written_);
    written_ = 0;
  }
  return true;
}

void InputPipe::on_writable() {
  const auto on_drained = on_drained_;
  const bool is_read = flush();
  if (is_read && queued_bytes() > 0) return;
  watch_->set(0);
  if (!is_read || is_ending_) close();
  if (*on_drained) (*on_drained)();
}

void InputPipe::close() {
  watch_.reset();
  fd_.reset();
  queue_.clear();
  written_ = 0;
}

void set_terminal_size(int fd, world::TerminalSize size) {
  const winsize wanted{.ws_row = size.rows, .ws_col = size.columns, .ws_xpixel = 0, .ws_ypixel = 0};
  ::ioctl(fd, TIOCSWINSZ, &wanted);
}

base::Result<Terminal> open_terminal(const std::string& ptmx, world::TerminalSize size,
                                     uint32_t user, uint32_t group) {
  constexpr int kFlags = O_RDWR | O_NOCTTY | O_CLOEXEC;
  Terminal terminal;
  terminal.ours = Fd(::open(ptmx.c_str(), kFlags | O_NONBLOCK));
  if (!terminal.ours.is_open()) return errno_status("opening the terminal " + ptmx, errno);
  int is_locked = 0;
  if (::ioctl(terminal.ours.get(), TIOCSPTLCK, &is_locked) != 0) {
    return errno_status("unlocking a terminal of " + ptmx, errno);
  }
  // By the descriptor, not by name: the name holds in the container only.
  terminal.theirs = Fd(::ioctl(terminal.ours.get(), TIOCGPTPEER, kFlags));
  if (!terminal.theirs.is_open()) return errno_status("opening a terminal of " + ptmx, errno);
  set_terminal_size(terminal.ours.get(), size);
  // Only the child's user may open it again by its name; where that fails it need not.
  const int ignored = ::fchown(terminal.theirs.get(), user, group);
  static_cast<void>(ignored);
  return terminal;
}

}  // namespace pelton::os
