// SPDX-License-Identifier: Apache-2.0
#include "os/threads.h"

#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace pelton::os {

size_t useful_threads(size_t most) {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  const bool is_known = ::sched_getaffinity(0, sizeof usable, &usable) == 0;
  const size_t count = is_known ? static_cast<size_t>(CPU_COUNT(&usable)) : 1;
  return std::clamp<size_t>(count, 1, std::max<size_t>(most, 1));
}

void run_on_threads(size_t threads, const std::function<void()>& work) {
  // Signals belong to the host program's threads: a new thread inherits this full mask.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::vector<std::thread> others;
  for (size_t i = 1; i < threads; ++i) others.emplace_back(work);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  work();
  for (std::thread& other : others) other.join();
}

}  // namespace pelton::os
