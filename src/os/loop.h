// SPDX-License-Identifier: Apache-2.0
// The event loop: descriptors that became ready, timers that came due, work that other threads
// hand in. Everything else of os/ hangs on it.
//
// One turn: wait (epoll), tell the owners of ready descriptors, run what is due. What a callback
// posts runs in the next turn, and a turn runs no more of what is due, or was handed in, than fits
// into kHalfTurnNs each (and no more than 32 descriptors), so that nothing starves the rest: a
// heartbeat's answer is read, and its timer runs, however much there is to do.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <queue>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "os/fd.h"
#include "world/timers.h"

namespace pelton::os {

class Loop final : public world::Timers {
 public:
  /// Told which of EPOLLIN, EPOLLOUT, … hold.
  using OnReady = std::function<void(uint32_t events)>;

  /// One descriptor's place in the loop. Destroy it before the descriptor is closed; its callback
  /// may do so. Does not outlive the loop.
  class Watch {
   public:
    Watch(Loop& loop, int fd, OnReady on_ready);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    /// What to wait for (level-triggered); 0: nothing at all, not even errors.
    void set(uint32_t events);

   private:
    Loop& loop_;
    int fd_;
    uint64_t id_;
    uint32_t events_ = 0;
  };

  static base::Result<std::unique_ptr<Loop>> make();
  /// Callbacks that still wait are dropped, and with them what only they own.
  ~Loop() override;

  void run();
  void stop() { is_stopping_ = true; }

  Id after(base::Duration delay, std::function<void()> fn) override;
  void cancel(Id id) override { timers_.erase(id); }

  /// Runs `fn` on the loop, soon. The one call that any thread may make. What is still waiting
  /// when the loop is destroyed is dropped.
  void post_from_any_thread(std::function<void()> fn);

 private:
  struct Deadline {
    int64_t ns;
    Id id;  ///< ids grow: equal deadlines run in the order of registration
    bool operator>(const Deadline& o) const { return ns != o.ns ? ns > o.ns : id > o.id; }
  };

  static constexpr int64_t kHalfTurnNs = 10'000'000;

  Loop() = default;
  void wait_and_dispatch();
  void run_due();
  void take_inbox();
  void run_taken(int64_t end_ns);
  int timeout_ms();
  void drop_cancelled();

  Fd epoll_;
  Fd wake_;
  bool is_stopping_ = false;
  uint64_t next_watch_ = 1;
  std::unordered_map<uint64_t, std::shared_ptr<OnReady>> watches_;
  Id next_timer_ = 1;
  std::priority_queue<Deadline, std::vector<Deadline>, std::greater<>> deadlines_;
  std::unordered_map<Id, std::function<void()>> timers_;
  std::mutex inbox_mutex_;
  std::vector<std::function<void()>> inbox_;
  std::deque<std::function<void()>> taken_;  ///< from the inbox, not run yet
};

/// CLOCK_MONOTONIC, in nanoseconds.
int64_t monotonic_ns();

}  // namespace pelton::os
