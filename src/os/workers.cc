// SPDX-License-Identifier: Apache-2.0
#include "os/workers.h"

#include <signal.h>

#include <utility>

namespace pelton::os {

Workers::Workers(Loop& loop, size_t threads) : loop_(loop) {
  // Signals belong to the loop's thread: a new thread inherits this full mask.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work_until_stopped(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Workers::run(std::function<void()> work, std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({std::move(work), std::move(done)});
  }
  changed_.notify_one();
}

void Workers::work_until_stopped() {
  for (;;) {
    Item item;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return is_stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      item = std::move(queue_.front());
      queue_.pop_front();
    }
    item.work();
    // What the work captured dies here, except what is told on the loop.
    item.work = nullptr;
    loop_.post_from_any_thread(std::move(item.done));
  }
}

}  // namespace pelton::os
