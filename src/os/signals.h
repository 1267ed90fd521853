// SPDX-License-Identifier: Apache-2.0
// Signals that ask us to stop, as events of the loop (signalfd).
#pragma once
#include <functional>
#include <memory>

#include "os/loop.h"

namespace pelton::os {

/// While it lives, SIGINT, SIGTERM and SIGHUP of this thread come as calls of `fn`.
class StopSignals {
 public:
  static base::Result<std::unique_ptr<StopSignals>> make(Loop& loop,
                                                         std::function<void(int signal)> fn);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  StopSignals(Loop& loop, Fd fd, std::function<void(int)> fn);
  void on_ready();
  Fd fd_;
  std::function<void(int)> fn_;
  Loop::Watch watch_;
};

}  // namespace pelton::os
