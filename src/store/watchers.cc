// SPDX-License-Identifier: Apache-2.0
#include "store/watchers.h"

#include <fmt/format.h>

namespace pelton::store {

namespace {

constexpr base::Duration kAskAgain = base::Duration::milliseconds(20);

base::Status gone(Revision from, Revision oldest) {
  return {base::Code::Gone, "Expired",
          fmt::format("too old resource version: {} ({}); list again", from, oldest)};
}

}  // namespace

struct Watchers::Watcher {
  std::string prefix;
  Revision position = 0;
  WatchEvents events;
  bool is_over = false;  ///< the handle is destroyed, or on_end was called
};

class Watchers::Handle final : public Watch {
 public:
  explicit Handle(std::shared_ptr<Watcher> watcher) : watcher_(std::move(watcher)) {}
  ~Handle() override {
    watcher_->is_over = true;
    watcher_->events = {};
  }
  Revision position() const override { return watcher_->position; }

 private:
  std::shared_ptr<Watcher> watcher_;
};

Watchers::Watchers(const State& state, world::Timers& timers, const Options& options)
    : state_(state), options_(options), soon_(timers), later_(timers) {}

Watchers::~Watchers() = default;

base::Result<std::unique_ptr<Watch>> Watchers::add(std::string_view prefix, Revision from,
                                                   WatchEvents events) {
  if (from < state_.oldest()) return gone(from, state_.oldest());
  if (from > state_.revision()) {
    return base::Status(
        base::Code::FailedPrecondition, "ResourceVersionTooLarge",
        fmt::format("Too large resource version: {}, current: {}", from, state_.revision()));
  }
  auto watcher = std::make_shared<Watcher>(Watcher{std::string(prefix), from, std::move(events)});
  watchers_.push_back(watcher);
  wake();
  return std::unique_ptr<Watch>(new Handle(std::move(watcher)));
}

void Watchers::wake() {
  if (!soon_.is_pending()) {
    soon_.start({}, [this] { pump(); });
  }
}

void Watchers::end_all(base::Status why) {
  ended_ = std::move(why);
  wake();
}

void Watchers::end(Watcher& watcher, const base::Status& why) {
  watcher.is_over = true;
  auto on_end = std::move(watcher.events.on_end);
  if (on_end) on_end(why);
}

void Watchers::pump() {
  bool ask_again = false;
  const std::weak_ptr<bool> alive = alive_;
  // Callbacks may add watchers (to the end), end them, or destroy the whole store.
  for (auto it = watchers_.begin(); it != watchers_.end();) {
    const std::shared_ptr<Watcher> watcher = *it;
    const bool is_full = !watcher->is_over && pump_one(*watcher);
    if (alive.expired()) return;
    ask_again = ask_again || is_full;
    if (!watcher->is_over && !ended_.ok()) end(*watcher, ended_);
    if (alive.expired()) return;
    it = watcher->is_over ? watchers_.erase(it) : std::next(it);
  }
  if (ask_again) {
    later_.start(kAskAgain, [this] { pump(); });
  }
}

bool Watchers::pump_one(Watcher& watcher) {
  const std::weak_ptr<bool> alive = alive_;
  const auto on_event = watcher.events.on_event;  // it may destroy the watcher's handle
  while (watcher.position < state_.revision()) {
    if (watcher.position < state_.oldest()) {
      end(watcher, gone(watcher.position, state_.oldest()));
      return false;
    }
    const size_t next = state_.position_after(watcher.position);
    if (next == state_.history().size()) {
      watcher.position = state_.revision();
      return false;
    }
    const size_t behind = state_.history().size() - next;
    for (size_t i = next; i < state_.history().size(); ++i) {
      if (watcher.events.backlog && watcher.events.backlog() > options_.watch_backlog_bytes) {
        if (behind <= options_.watch_lag_events) return true;
        end(watcher, {base::Code::Gone, "Expired",
                      fmt::format("the watch fell {} events behind; list again", behind)});
        return false;
      }
      const Change& change = state_.history()[i];
      watcher.position = change.event.revision;
      if (!has_prefix(change.event.key, watcher.prefix)) continue;
      const Event event = change.event;  // the callback may do anything, also end the store
      on_event(event);
      if (alive.expired() || watcher.is_over) return false;
    }
  }
  return false;
}

}  // namespace pelton::store
