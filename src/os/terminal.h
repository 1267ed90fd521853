// SPDX-License-Identifier: Apache-2.0
// The terminal at stdin and stdout as a screen of our own: keys at once and without echo, no scroll
// back, no cursor. All of it is as before when it is destroyed.
#pragma once
#include <termios.h>

#include <functional>
#include <memory>
#include <string_view>

#include "os/fd.h"
#include "os/loop.h"
#include "world/processes.h"

namespace pelton::os {

struct ScreenEvents {
  std::function<void(char key)> on_key;
  std::function<void()> on_resize;
  std::function<void()> on_gone;  ///< nobody sits there any more; last
};

class Screen {
 public:
  /// FailedPrecondition where stdin or stdout is no terminal. Ctrl-C stays a signal (StopSignals);
  /// Ctrl-Z and Ctrl-\ do nothing, which would leave the screen as it is now. Events come on the
  /// loop, which must outlive this.
  static base::Result<std::unique_ptr<Screen>> open(Loop& loop, ScreenEvents events);
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  world::TerminalSize size() const;
  /// Writes bytes as they are, escape sequences included.
  void write(std::string_view bytes);

 private:
  Screen(Loop& loop, const termios& before, Fd resizes, ScreenEvents events);
  void on_input();
  void on_resize_signal();

  termios before_;
  Fd resizes_;  ///< signalfd of SIGWINCH
  ScreenEvents events_;
  Loop::Watch input_watch_;
  Loop::Watch resize_watch_;
};

}  // namespace pelton::os
