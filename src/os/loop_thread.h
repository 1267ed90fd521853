// SPDX-License-Identifier: Apache-2.0
// A loop on a thread of its own, for a library in somebody else's process.
#pragma once
#include <functional>
#include <memory>
#include <thread>

#include "os/files.h"
#include "os/loop.h"

namespace pelton::os {

/// What lives on the loop is touched from it only: by post() and wait_for(). A process that forks
/// does not have the thread in the child: start it after the fork.
class LoopThread {
 public:
  /// Unavailable where the kernel gives no epoll or thread.
  static base::Result<std::unique_ptr<LoopThread>> start();
  /// Ends the loop; what still waits there is dropped.
  ~LoopThread();

  world::Files& files() { return *files_; }
  /// Runs `fn` on the loop, soon. Any thread.
  void post(std::function<void()> fn) { loop_->post_from_any_thread(std::move(fn)); }
  /// Calls `fn` on the loop and blocks the caller until `done` has been called. Not from the loop.
  void wait_for(std::function<void(std::function<void()> done)> fn);

 private:
  LoopThread() = default;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<OsFiles> files_;
  std::thread thread_;
};

}  // namespace pelton::os
