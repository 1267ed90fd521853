// SPDX-License-Identifier: Apache-2.0
#include "os/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace pelton::os {
namespace {

constexpr uint64_t kWakeId = 0;
constexpr int64_t kNsPerMs = 1'000'000;

}  // namespace

int64_t monotonic_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

Loop::Watch::Watch(Loop& loop, int fd, OnReady on_ready)
    : loop_(loop), fd_(fd), id_(loop.next_watch_++) {
  loop_.watches_.emplace(id_, std::make_shared<OnReady>(std::move(on_ready)));
}

Loop::Watch::~Watch() {
  set(0);
  loop_.watches_.erase(id_);
}

void Loop::Watch::set(uint32_t events) {
  if (events == events_) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = id_;
  const int operation = events == 0 ? EPOLL_CTL_DEL : events_ == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  PELTON_CHECK(::epoll_ctl(loop_.epoll_.get(), operation, fd_, &event) == 0);
  events_ = events;
}

Loop::~Loop() {
  // Taken out one by one: what a callback owns (a connect under way owns itself by its watch) may
  // forget other watches and timers as it goes.
  while (!watches_.empty()) watches_.extract(watches_.begin());
  while (!timers_.empty()) timers_.extract(timers_.begin());
  while (!taken_.empty()) taken_.pop_front();
}

base::Result<std::unique_ptr<Loop>> Loop::make() {
  std::unique_ptr<Loop> loop(new Loop);
  loop->epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!loop->epoll_.is_open()) return errno_status("making the event loop", errno);
  loop->wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!loop->wake_.is_open()) return errno_status("making the event loop", errno);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeId;
  if (::epoll_ctl(loop->epoll_.get(), EPOLL_CTL_ADD, loop->wake_.get(), &event) != 0) {
    return errno_status("making the event loop", errno);
  }
  return loop;
}

void Loop::run() {
  is_stopping_ = false;
  while (!is_stopping_) {
    wait_and_dispatch();
    if (!is_stopping_) run_due();
  }
}

Loop::Id Loop::after(base::Duration delay, std::function<void()> fn) {
  const Id id = next_timer_++;
  const int64_t now = monotonic_ns();
  const int64_t wait = std::clamp<int64_t>(delay.ns(), 0, INT64_MAX - now);
  deadlines_.push({now + wait, id});
  timers_.emplace(id, std::move(fn));
  if (deadlines_.size() > 1024 && deadlines_.size() > 4 * timers_.size()) drop_cancelled();
  return id;
}

/// Long timeouts that are always cancelled would otherwise pile up until they are due.
void Loop::drop_cancelled() {
  std::vector<Deadline> kept;
  for (; !deadlines_.empty(); deadlines_.pop()) {
    if (timers_.contains(deadlines_.top().id)) kept.push_back(deadlines_.top());
  }
  deadlines_ = decltype(deadlines_)(std::greater<>(), std::move(kept));
}

void Loop::post_from_any_thread(std::function<void()> fn) {
  {
    const std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(std::move(fn));
    if (inbox_.size() > 1) return;  // the wake-up for the first is still on its way
  }
  const uint64_t one = 1;
  while (::write(wake_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

int Loop::timeout_ms() {
  while (!deadlines_.empty() && !timers_.contains(deadlines_.top().id)) deadlines_.pop();
  if (deadlines_.empty()) return -1;
  const int64_t left = deadlines_.top().ns - monotonic_ns();
  if (left <= 0) return 0;
  // Rounded up: waking early would only spin until it is due.
  return static_cast<int>(std::min<int64_t>((left + kNsPerMs - 1) / kNsPerMs, 3'600'000));
}

void Loop::wait_and_dispatch() {
  // Few at a time: the kernel begins the next turn with those that it has not named yet.
  std::array<epoll_event, 32> events;
  const int timeout = taken_.empty() ? timeout_ms() : 0;
  const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout);
  if (count < 0) {
    PELTON_CHECK(errno == EINTR);
    return;
  }
  const int64_t end = monotonic_ns() + kHalfTurnNs;
  run_taken(end);
  for (int i = 0; i < count && !is_stopping_; ++i) {
    const uint64_t id = events[static_cast<size_t>(i)].data.u64;
    if (id == kWakeId) {
      take_inbox();
      run_taken(end);
      continue;
    }
    const auto found = watches_.find(id);  // an earlier callback may have ended this watch
    if (found == watches_.end()) continue;
    const auto on_ready = found->second;  // keeps it alive while it destroys its own watch
    (*on_ready)(events[static_cast<size_t>(i)].events);
  }
}

void Loop::take_inbox() {
  uint64_t count = 0;
  if (::read(wake_.get(), &count, sizeof count) < 0) return;
  const std::lock_guard lock(inbox_mutex_);
  for (auto& fn : inbox_) taken_.push_back(std::move(fn));
  inbox_.clear();
}

void Loop::run_taken(int64_t end_ns) {
  while (!taken_.empty() && !is_stopping_) {
    const auto fn = std::move(taken_.front());
    taken_.pop_front();
    fn();
    if (monotonic_ns() > end_ns) return;
  }
}

void Loop::run_due() {
  const int64_t now = monotonic_ns();
  const Id end = next_timer_;  // what is posted from here on waits for the next turn
  while (!deadlines_.empty() && !is_stopping_) {
    const Deadline top = deadlines_.top();
    if (top.ns > now || top.id >= end) return;
    deadlines_.pop();
    const auto found = timers_.find(top.id);
    if (found == timers_.end()) continue;
    const auto fn = std::move(found->second);
    timers_.erase(found);
    fn();
    if (monotonic_ns() > now + kHalfTurnNs) return;
  }
}

}  // namespace pelton::os
