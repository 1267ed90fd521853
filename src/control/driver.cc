// SPDX-License-Identifier: Apache-2.0
#include "control/driver.h"

#include <algorithm>

namespace pelton::control {

using base::Code;
using base::Duration;
using base::Json;

/// What is known of one key of one reconciler.
struct Driver::Item {
  bool is_in_flight = false;
  bool is_dirty = false;        ///< changed while in flight
  std::optional<Duration> due;  ///< its place in due_
  std::vector<Expectation> expectations;
  Duration give_up_at;                ///< on the expectations
  std::optional<ObjectKey> doubtful;  ///< to be read from the server first
  int failures = 0;
};

namespace {

/// Somebody else was faster, or our view was old: no fault.
bool is_answer(Code code) {
  return code == Code::Conflict || code == Code::NotFound || code == Code::AlreadyExists;
}

/// Reconciles per turn of the loop, so that others get their turns.
constexpr int kMaxPerPump = 64;

}  // namespace

Driver::Driver(client::Client& client, client::Cache& cache, world::Clock& clock,
               world::Timers& timers, base::Log& log, base::Rng rng, DriverOptions options)
    : cache_(cache),
      clock_(clock),
      log_(log),
      rng_(rng),
      options_(options),
      executor_(client, clock, options.provider),
      pump_timer_(timers) {}

Driver::~Driver() = default;

void Driver::add(std::unique_ptr<Reconciler> reconciler) {
  for (const std::string& kind : reconciler->watched_kinds()) {
    watchers_[kind].push_back(reconcilers_.size());
  }
  reconcilers_.push_back(std::move(reconciler));
}

std::vector<std::string> Driver::watched_kinds() const {
  std::vector<std::string> kinds;
  for (const auto& [kind, reconcilers] : watchers_) kinds.push_back(kind);
  return kinds;
}

void Driver::start() {
  if (std::exchange(is_started_, true)) return;
  cache_.subscribe([this, alive = std::weak_ptr<bool>(alive_)](
                       std::string_view kind, const Json* before, const Json* after) {
    if (!alive.expired()) on_change(kind, before, after);
  });
  begin_once_synced();
}

void Driver::begin_once_synced() {
  for (const auto& [kind, reconcilers] : watchers_) {
    if (!cache_.is_synced(kind)) return;
  }
  is_running_ = true;
  for (const auto& [kind, reconcilers] : watchers_) {
    for (const Json* object : cache_.list(kind)) on_change(kind, nullptr, object);
  }
}

void Driver::on_change(std::string_view kind, const Json* before, const Json* after) {
  if (!is_running_) return begin_once_synced();
  if (!waiting_.empty()) schedule_pump();
  auto watchers = watchers_.find(kind);
  if (watchers == watchers_.end()) return;
  for (size_t index : watchers->second) {
    for (const Json* object : {before, after}) {
      if (object == nullptr) continue;
      for (Key& key : reconcilers_[index]->keys_of(*object, cache_)) {
        enqueue({index, std::move(key)}, Duration());
      }
    }
  }
}

void Driver::unqueue(const ItemId& id, Item& item) {
  if (item.due) due_.erase({*item.due, id});
  item.due.reset();
}

void Driver::enqueue(const ItemId& id, Duration delay) {
  Item& item = items_[id];
  if (item.is_in_flight) {
    item.is_dirty = true;
    return;
  }
  const Duration at = clock_.elapsed() + delay;
  if (item.due && *item.due <= at) return;
  unqueue(id, item);
  item.due = at;
  due_.insert({at, id});
  schedule_pump();
}

void Driver::schedule_pump() {
  const Duration now = clock_.elapsed();
  // What waits for the cache is looked at soon after each change.
  Duration at = now;
  if (waiting_.empty()) {
    if (due_.empty()) return;
    at = std::max(now, due_.begin()->first);
  }
  if (pump_at_ && *pump_at_ <= at) return;
  pump_at_ = at;
  pump_timer_.start(at - now, [this] { pump(); });
}

void Driver::release_waiting() {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const ItemId id = *it;
    if (!is_caught_up(items_[id])) {
      ++it;
      continue;
    }
    it = waiting_.erase(it);
    enqueue(id, Duration());
  }
}

void Driver::pump() {
  pump_at_.reset();
  release_waiting();
  const Duration now = clock_.elapsed();
  for (int n = 0; n < kMaxPerPump && !due_.empty() && in_flight_ < options_.max_in_flight; ++n) {
    if (due_.begin()->first > now) break;
    const ItemId id = due_.begin()->second;
    Item& item = items_[id];
    unqueue(id, item);
    begin(id, item);
  }
  if (due_.empty() || in_flight_ >= options_.max_in_flight) return;
  const Duration at = std::max(now, due_.begin()->first);
  if (pump_at_ && *pump_at_ <= at) return;
  pump_at_ = at;
  pump_timer_.start(at - now, [this] { pump(); });
}

bool Driver::is_caught_up(Item& item) {
  if (clock_.elapsed() >= item.give_up_at) item.expectations.clear();
  std::erase_if(item.expectations, [&](const Expectation& e) { return is_met(e, cache_); });
  return item.expectations.empty();
}

void Driver::begin(const ItemId& id, Item& item) {
  if (item.doubtful) return observe(id, item);
  if (!is_caught_up(item)) {
    waiting_.insert(id);
    item.due = item.give_up_at;
    due_.insert({item.give_up_at, id});
    return;
  }
  waiting_.erase(id);
  reconcile(id, item);
}

void Driver::observe(const ItemId& id, Item& item) {
  item.is_in_flight = true;
  ++in_flight_;
  executor_.observe(*item.doubtful, [this, id, alive = std::weak_ptr<bool>(alive_)](
                                        base::Result<Expectation> seen) {
    if (alive.expired()) return;
    Item& seen_item = items_[id];
    seen_item.is_in_flight = false;
    --in_flight_;
    if (!seen.ok()) return enqueue(id, backoff(++seen_item.failures));
    seen_item.doubtful.reset();
    seen_item.expectations.push_back(std::move(*seen));
    seen_item.give_up_at = clock_.elapsed() + options_.expectation_timeout;
    enqueue(id, Duration());
  });
}

void Driver::reconcile(const ItemId& id, Item& item) {
  ++reconciles_;
  const Reconciler& reconciler = *reconcilers_[id.first];
  auto plan = std::make_shared<Plan>(reconciler.reconcile(id.second, cache_, clock_.now()));
  item.is_in_flight = true;
  item.is_dirty = false;
  ++in_flight_;
  if (!plan->commands.empty()) {
    log_.info("control.plan", {{"reconciler", reconciler.name()},
                               {"key", id.second.to_string()},
                               {"first", describe(plan->commands.front())},
                               {"commands", static_cast<int64_t>(plan->commands.size())},
                               {"reason", plan->reason}});
  }
  executor_.execute(reconciler.name(), std::move(plan->commands),
                    [this, id, plan, alive = std::weak_ptr<bool>(alive_)](ExecuteResult result) {
                      if (!alive.expired()) on_executed(id, *plan, std::move(result));
                    });
}

void Driver::on_executed(const ItemId& id, const Plan& plan, ExecuteResult result) {
  Item& item = items_[id];
  item.is_in_flight = false;
  --in_flight_;
  item.expectations = std::move(result.expectations);
  item.doubtful = std::move(result.doubtful);
  item.give_up_at = clock_.elapsed() + options_.expectation_timeout;
  if (result.status.ok()) {
    item.failures = 0;
    const bool is_done = !item.is_dirty && !plan.requeue_after && item.expectations.empty();
    if (is_done) {
      items_.erase(id);
    } else if (item.is_dirty) {
      enqueue(id, Duration());
    } else if (plan.requeue_after) {
      enqueue(id, *plan.requeue_after);
    }
    return schedule_pump();
  }
  ++item.failures;
  const Code code = result.status.code();
  // The first answer leads to another look at once; whoever keeps losing waits, too.
  const int level = is_answer(code) ? item.failures - 1 : item.failures;
  const Duration delay = level == 0 ? Duration() : backoff(level);
  log_.write(is_answer(code) ? base::Severity::Debug : base::Severity::Warning, "control.failed",
             Json::object({{"reconciler", reconcilers_[id.first]->name()},
                           {"key", id.second.to_string()},
                           {"command", result.failed},
                           {"why", result.status.to_string()},
                           {"retry_ms", delay.ms()}}));
  enqueue(id, delay);
  schedule_pump();
}

Duration Driver::backoff(int failures) {
  const int shift = std::clamp(failures - 1, 0, 20);
  const Duration limit =
      std::min(options_.max_backoff, options_.min_backoff * (int64_t{1} << shift));
  return limit / 2 + limit / 2 * static_cast<int64_t>(rng_.below(1001)) / 1000;
}

bool Driver::is_idle() const {
  if (!is_running_ || in_flight_ > 0 || !waiting_.empty()) return false;
  return due_.empty() || due_.begin()->first > clock_.elapsed();
}

}  // namespace pelton::control
