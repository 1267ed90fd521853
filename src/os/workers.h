// SPDX-License-Identifier: Apache-2.0
// Threads that take work from one queue and report on the loop.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "os/loop.h"
#include "world/executor.h"

namespace pelton::os {

/// Work is begun in the order of run(); with one thread it also ends in that order. Destroying it
/// ends the work under way and what waits, and drops what would be told.
class Workers final : public world::Executor {
 public:
  Workers(Loop& loop, size_t threads);
  ~Workers() override;
  void run(std::function<void()> work, std::function<void()> done) override;

 private:
  struct Item {
    std::function<void()> work, done;
  };
  void work_until_stopped();

  Loop& loop_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> queue_;
  bool is_stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace pelton::os
