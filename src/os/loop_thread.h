// SPDX-License-Identifier: Apache-2.0
// A loop on a thread of its own, for a library in somebody else's process.
#pragma once
#include <functional>
#include <memory>
#include <thread>

#include "os/files.h"
#include "os/loop.h"
#include "world/executor.h"

namespace pelton::os {

/// What lives on the loop is touched from it only: by post() and wait_for(). A process that forks
/// does not have the thread in the child: start it after the fork.
class LoopThread {
 public:
  /// Unavailable where the kernel gives no epoll or thread.
  static base::Result<std::unique_ptr<LoopThread>> start();
  /// Ends the loop; what still waits there is dropped.
  ~LoopThread();

  /// The machine's files, or those that use_files() was given.
  world::Files& files() { return others_ ? *others_ : *files_; }
  /// For all that comes after, whatever lies below the machine's: an object store. They live as
  /// long as the loop's callbacks.
  void use_files(std::unique_ptr<world::Files> files) { others_ = std::move(files); }
  world::Timers& timers() { return *loop_; }
  /// Threads that report on the loop; made on any thread, used on the loop, gone before this is.
  std::unique_ptr<world::Executor> make_executor(size_t threads);
  /// Runs `fn` on the loop, soon. Any thread.
  void post(std::function<void()> fn) { loop_->post_from_any_thread(std::move(fn)); }
  /// Calls `fn` on the loop and blocks the caller until `done` has been called. Not from the loop.
  void wait_for(std::function<void(std::function<void()> done)> fn);

 private:
  LoopThread() = default;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<OsFiles> files_;
  std::unique_ptr<world::Files> others_;
  std::thread thread_;
};

}  // namespace pelton::os
