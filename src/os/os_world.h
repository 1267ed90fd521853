// SPDX-License-Identifier: Apache-2.0
// The real world: everything of world/ made from Linux, on one event loop.
//
//   auto made = os::make_world({.log_level = base::Severity::Info});
//   made.value()->on_stop_signal([&](int) { made.value()->stop(); });
//   HttpServer server(made.value()->world().network, …);
//   made.value()->run();
//
// One OsWorld per thread that runs a loop; a program has one. What was built on it is destroyed
// before it.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "os/terminal.h"
#include "world/world.h"

namespace pelton::os {

struct WorldOptions {
  base::Severity log_level = base::Severity::Info;
  bool log_to_stderr = true;  ///< text lines, coloured on a terminal
  std::string log_file;       ///< JSON lines are appended here; empty: no file
  std::string files_root;     ///< relative paths start here; empty: the working directory
};

class OsWorld {
 public:
  ~OsWorld();
  OsWorld(const OsWorld&) = delete;
  OsWorld& operator=(const OsWorld&) = delete;

  /// Valid as long as this lives.
  world::World& world();
  /// Runs callbacks until stop(). May be called again afterwards.
  void run();
  /// Makes run() return after the callback that is running. On the loop's thread.
  void stop();
  /// Calls back on the loop for SIGINT, SIGTERM and SIGHUP, which no longer end the process.
  /// Replaces an earlier one.
  void on_stop_signal(std::function<void(int signal)> fn);
  /// The terminal as a screen of ours (os/terminal.h); end it before this ends. Call
  /// on_stop_signal() before, or a signal leaves the terminal as the screen has it.
  base::Result<std::unique_ptr<Screen>> open_screen(ScreenEvents events);

 private:
  friend base::Result<std::unique_ptr<OsWorld>> make_world(const WorldOptions& options);
  struct Parts;
  explicit OsWorld(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

/// From here on this process ignores SIGPIPE (its children do not). Unavailable where the kernel
/// gives no epoll, eventfd or threads; the error of opening log_file.
base::Result<std::unique_ptr<OsWorld>> make_world(const WorldOptions& options = {});

}  // namespace pelton::os
