// SPDX-License-Identifier: Apache-2.0
// Our ends of a child's streams: pipes, or a terminal. Internal to os/.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "os/fd.h"
#include "os/loop.h"
#include "world/processes.h"

namespace pelton::os {

/// Reads what a child writes and tells it in pieces; the empty piece is the end.
class OutputPipe {
 public:
  using OnOutput = std::function<void(std::string_view)>;
  /// `fd` does not block. `on_output` may destroy the pipe.
  OutputPipe(Loop& loop, Fd fd, OnOutput on_output);
  void pause() { set(0); }
  void resume();
  int fd() const { return fd_.get(); }  ///< -1 after the end

 private:
  void set(uint32_t events);
  void read();

  Fd fd_;
  std::shared_ptr<OnOutput> on_output_;
  std::unique_ptr<Loop::Watch> watch_;  ///< null after the end
};

/// Writes to a child's stdin without blocking.
class InputPipe {
 public:
  /// `fd` does not block. `on_drained` is called from the loop and may destroy the pipe.
  InputPipe(Loop& loop, Fd fd, std::function<void()> on_drained);
  void write(std::string_view bytes);
  size_t queued_bytes() const { return queue_.size() - written_; }
  void end();

 private:
  bool flush();
  void on_writable();
  void close();

  Fd fd_;
  std::shared_ptr<std::function<void()>> on_drained_;
  std::unique_ptr<Loop::Watch> watch_;
  std::string queue_;
  size_t written_ = 0;  ///< of the queue
  bool is_ending_ = false;
};

struct Terminal {
  Fd ours;    ///< does not block
  Fd theirs;  ///< for the child's streams
};

/// A new terminal from `ptmx`, of that size, owned by that user. Unavailable where there is none.
base::Result<Terminal> open_terminal(const std::string& ptmx, world::TerminalSize size,
                                     uint32_t user, uint32_t group);
void set_terminal_size(int fd, world::TerminalSize size);

}  // namespace pelton::os
