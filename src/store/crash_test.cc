// SPDX-License-Identifier: Apache-2.0
// The store against a model, on a machine that loses power in the middle of its disk operations.
//
// Many clients write at once. After each crash the state must be the model's after all acknowledged
// transactions and a prefix (in the order of commit) of those that were not answered: nothing
// acknowledged is lost and no transaction is there by half.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "sim/disk.h"
#include "sim/sim_world.h"
#include "store/store.h"

namespace pelton::store {
namespace {

using base::Duration;
using Model = std::map<std::string, std::string>;

struct Attempt {
  std::vector<std::pair<std::string, std::string>> writes;  ///< empty value: deleted
  bool will_succeed = false;
};

void replay(Model& model, const Attempt& attempt) {
  if (!attempt.will_succeed) return;
  for (const auto& [key, value] : attempt.writes) {
    if (value.empty()) {
      model.erase(key);
    } else {
      model[key] = value;
    }
  }
}

class Harness {
 public:
  explicit Harness(uint64_t seed)
      : sim_(seed), machine_(sim_.add_machine("server")), rng_(sim_.rng("workload")) {
    options_.snapshot_after_log_bytes = 3000;
    options_.history_events = 200;
    options_.history_age = {};
  }

  /// Opens, works until the n-th disk operation crashes the machine, and checks the next open.
  void crash_at(uint64_t disk_operation) {
    SCOPED_TRACE(fmt::format("seed {} crash at {}", sim_.seed(), disk_operation));
    machine_.crash_at_disk_operation(disk_operation);
    if (open()) work(400);
    if (process_->is_alive()) machine_.crash();
    lose_process();
    ++crashes_;
  }
  /// As kill -9: the cache stays, and with it writes that nobody synced.
  void kill_after(int transactions) {
    SCOPED_TRACE(fmt::format("seed {} kill", sim_.seed()));
    if (open()) work(transactions);
    process_->kill();
    lose_process();
  }
  void finish() {
    machine_.crash_at_disk_operation(0);
    ASSERT_TRUE(open());
    work(50);
    store_.reset();
  }
  int crashes() const { return crashes_; }
  int acknowledged() const { return acknowledged_total_; }

 private:
  bool open() {
    process_ = &machine_.start();
    base::Status status = base::internal_error("open did not end");
    auto& world = process_->world();
    Store::open(world.files, world.timers, world.log, "/store", options_, [&](auto result) {
      status = result.status();
      if (result.ok()) store_ = std::move(result).value();
    });
    sim_.run_until([&] { return store_ || !process_->is_alive(); }, Duration::seconds(5));
    if (!process_->is_alive()) return false;
    EXPECT_TRUE(store_ != nullptr) << status.to_string();
    if (!store_) return false;
    check_recovered();
    resume_watch();
    return true;
  }

  Model stored() const {
    Model state;
    const ListPage page = store_->list("/").value();
    for (const Entry& entry : page.entries) {
      state[entry.key] = *entry.bytes;
      EXPECT_LE(entry.revision, store_->revision());
    }
    return state;
  }

  void check_recovered() {
    EXPECT_GE(store_->revision(), newest_seen_) << "a revision that was shown is unknown";
    const Model actual = stored();
    Model model = acknowledged_;
    size_t prefix = 0;
    while (model != actual && prefix < unanswered_.size()) replay(model, unanswered_[prefix++]);
    ASSERT_EQ(model, actual) << "lost, or half of a transaction, with " << unanswered_.size()
                             << " unanswered";
    acknowledged_ = newest_ = model;
    unanswered_.clear();
  }

  void resume_watch() {
    WatchEvents events{
        .on_event = [this](const Event& e) { on_event(e); }, .on_end = {}, .backlog = {}};
    auto watch = store_->watch("/", watched_to_, events);
    if (!watch.ok()) {
      EXPECT_EQ(watch.status().code(), base::Code::Gone);
      watched_ = stored();
      watched_to_ = store_->revision();
      watch = store_->watch("/", watched_to_, events);
    }
    ASSERT_TRUE(watch.ok());
    watch_ = std::move(watch).value();
  }

  void on_event(const Event& event) {
    EXPECT_GT(event.revision, watched_to_);
    watched_to_ = event.revision;
    newest_seen_ = std::max(newest_seen_, event.revision);
    if (event.kind == Event::Kind::Put) {
      watched_[event.key] = *event.bytes;
    } else {
      watched_.erase(event.key);
    }
  }

  void work(int transactions) {
    for (int i = 0; i < transactions && process_->is_alive(); ++i) {
      begin_transaction();
      if (rng_.chance(0.3)) sim_.run_for(Duration::microseconds(rng_.between(1, 3000)));
    }
    sim_.run_until([&] { return unanswered_.empty() || !process_->is_alive(); },
                   Duration::seconds(5));
    if (!process_->is_alive()) return;
    EXPECT_TRUE(unanswered_.empty());
    sim_.run_for(Duration::milliseconds(1));
    if (!process_->is_alive()) return;  // a snapshot's end may be where it crashes
    EXPECT_EQ(watched_, stored());
    EXPECT_EQ(acknowledged_, stored());
  }

  void begin_transaction() {
    Attempt attempt{{}, true};
    Transaction transaction;
    std::set<std::string> keys;
    for (int64_t n = rng_.between(1, 4); n > 0; --n) {
      const std::string key = fmt::format("/k{}", rng_.below(12));
      if (!keys.insert(key).second) continue;
      const bool is_present = newest_.count(key) != 0;
      Operation op;
      op.key = key;
      if (rng_.chance(0.2)) {
        op.kind = Operation::Kind::Delete;
        attempt.will_succeed &= is_present;
      } else {
        op.bytes = fmt::format("t{}:{}", ++counter_, std::string(rng_.below(600), 'x'));
        if (rng_.chance(0.3)) {
          op.expected = 0;
          attempt.will_succeed &= !is_present;
        } else if (rng_.chance(0.5)) {
          // What the durable state shows: wrong exactly where a write is under way.
          const auto seen = store_->get(key);
          op.expected = seen ? seen->revision : 0;
          attempt.will_succeed &= (seen ? *seen->bytes : "") == (is_present ? newest_[key] : "");
        }
      }
      attempt.writes.emplace_back(key, op.bytes);
      transaction.operations.push_back(std::move(op));
    }
    replay(newest_, attempt);
    unanswered_.push_back(attempt);
    store_->commit(std::move(transaction), [this, dying = process_](base::Result<Revision> result) {
      if (!dying->is_alive()) return;  // said to nobody
      on_answer(result);
    });
  }

  void on_answer(const base::Result<Revision>& result) {
    ASSERT_FALSE(unanswered_.empty());
    const Attempt attempt = unanswered_.front();  // answers come in the order of commit
    unanswered_.erase(unanswered_.begin());
    EXPECT_EQ(result.ok(), attempt.will_succeed) << result.status().to_string();
    if (!result.ok()) return;
    ++acknowledged_total_;
    EXPECT_GT(*result, newest_seen_) << "a revision was used twice, or out of order";
    newest_seen_ = std::max(newest_seen_, *result);
    replay(acknowledged_, attempt);
    EXPECT_LE(*result, store_->revision());
  }

  void lose_process() {
    watch_.reset();
    store_.reset();
  }

  sim::SimWorld sim_;
  sim::SimMachine& machine_;
  base::Rng rng_;
  Options options_;
  sim::SimProcess* process_ = nullptr;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Watch> watch_;
  Model acknowledged_;  ///< after all that was answered
  Model newest_;        ///< and all that is under way
  std::vector<Attempt> unanswered_;
  Model watched_;
  Revision watched_to_ = 0;
  Revision newest_seen_ = 0;
  int counter_ = 0;
  int crashes_ = 0;
  int acknowledged_total_ = 0;
};

TEST(StoreCrash, LosesNothingAtAnyOfTheFirstDiskOperations) {
  int crashes = 0;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    for (uint64_t n = 1; n <= 100; ++n) {
      Harness harness(seed);
      harness.crash_at(n);
      harness.finish();
      crashes += harness.crashes();
      if (HasFailure()) FAIL() << "seed " << seed << ", crash at disk operation " << n;
    }
  }
  EXPECT_EQ(crashes, 5000);
}

TEST(StoreCrash, LosesNothingInALifeOfManyCrashes) {
  int crashes = 0, acknowledged = 0;
  for (uint64_t seed = 1; seed <= 600; ++seed) {
    Harness harness(seed);
    base::Rng rng = base::Rng(seed).fork("crashes");
    for (int i = 0; i < 12; ++i) {
      if (rng.chance(0.2)) {
        harness.kill_after(static_cast<int>(rng.below(30)));
      } else {
        // Often within recovery itself, and at times after several snapshots.
        harness.crash_at(rng.chance(0.3) ? 1 + rng.below(8) : 1 + rng.below(120));
      }
      if (HasFailure()) FAIL() << "seed " << seed << ", crash " << i;
    }
    harness.finish();
    crashes += harness.crashes();
    acknowledged += harness.acknowledged();
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_GE(crashes, 5000);
  EXPECT_GE(acknowledged, 50000);
}

}  // namespace
}  // namespace pelton::store
