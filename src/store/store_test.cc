// SPDX-License-Identifier: Apache-2.0
#include "store/store.h"

#include <gtest/gtest.h>

#include "sim/disk.h"
#include "sim/sim_world.h"

namespace pelton::store {
namespace {

using base::Code;
using base::Duration;

/// One machine with a store that can be closed, killed and opened again.
struct Bench {
  explicit Bench(uint64_t seed = 1) : sim(seed), machine(sim.add_machine("server")) { open(); }

  base::Status try_open() {
    store.reset();
    if (process == nullptr || !process->is_alive()) process = &machine.start();
    base::Status status = base::internal_error("open never ended");
    auto& world = process->world();
    Store::open(world.files, world.timers, world.log, "/data/store", options, [&](auto result) {
      status = result.status();
      if (result.ok()) store = std::move(result).value();
    });
    sim.run_for(Duration::seconds(1));
    return status;
  }
  void open() {
    const base::Status status = try_open();
    ASSERT_TRUE(status.ok()) << status.to_string();
  }
  base::Result<Revision> commit(Transaction transaction) {
    std::optional<base::Result<Revision>> result;
    store->commit(std::move(transaction), [&](base::Result<Revision> r) { result = r; });
    EXPECT_FALSE(result.has_value()) << "called from within commit()";
    sim.run_until([&] { return result.has_value(); }, Duration::seconds(1));
    return result.value_or(base::internal_error("no answer"));
  }
  base::Result<Revision> put(const std::string& key, const std::string& bytes,
                             std::optional<Revision> expected = {}) {
    return commit({{{Operation::Kind::Put, key, bytes, {}, expected}}, {}});
  }
  base::Result<Revision> erase(const std::string& key, std::optional<Revision> expected = {}) {
    return commit({{{Operation::Kind::Delete, key, "", {}, expected}}, {}});
  }
  void must_put(const std::string& key, const std::string& bytes) {
    const auto result = put(key, bytes);
    EXPECT_TRUE(result.ok()) << result.status().to_string();
  }
  void must_erase(const std::string& key) { EXPECT_TRUE(erase(key).ok()); }
  std::string value(const std::string& key) {
    auto entry = store->get(key);
    return entry ? *entry->bytes : "(absent)";
  }
  /// "P/a=1" per event.
  WatchEvents collect(std::vector<std::string>& into) {
    return {.on_event =
                [&into](const Event& e) {
                  into.push_back((e.kind == Event::Kind::Put ? "P" : "D") + e.key + "=" + *e.bytes +
                                 (e.previous ? "<" + *e.previous : ""));
                },
            .on_end = [&into](base::Status s) { into.push_back(base::code_name(s.code())); },
            .backlog = {}};
  }
  void settle() { sim.run_for(Duration::seconds(1)); }

  sim::SimWorld sim;
  sim::SimMachine& machine;
  sim::SimProcess* process = nullptr;
  Options options;
  std::unique_ptr<Store> store;
};

TEST(Store, GivesEachOperationARevisionAndSplicesIt) {
  Bench b;
  auto first = b.commit({{{Operation::Kind::Put, "/a", R"({"v":""})", 6, 0},
                          {Operation::Kind::Put, "/b", "x", {}, 0}},
                         {}});
  ASSERT_TRUE(first.ok()) << first.status().to_string();
  EXPECT_EQ(b.store->get("/b")->revision, *first);
  EXPECT_EQ(b.store->get("/a")->revision, *first - 1);
  EXPECT_EQ(b.value("/a"), "{\"v\":\"" + std::to_string(*first - 1) + "\"}");
  auto second = b.put("/a", "2");
  EXPECT_EQ(*second, *first + 1);
  EXPECT_EQ(b.store->get("/a")->created, *first - 1);
  EXPECT_EQ(b.store->revision(), *second);
}

TEST(Store, RefusesWhatTheWriterDidNotSeeAndChangesNothing) {
  Bench b;
  const Revision r = *b.put("/a", "1", 0);
  EXPECT_EQ(b.put("/a", "2", 0).status().code(), Code::AlreadyExists);
  EXPECT_EQ(b.put("/a", "2", r - 1).status().code(), Code::Conflict);
  EXPECT_EQ(b.put("/new", "2", r).status().code(), Code::NotFound);
  EXPECT_EQ(b.erase("/new").status().code(), Code::NotFound);
  EXPECT_EQ(b.commit({{{Operation::Kind::Put, "/b", "1", {}, 0}}, {{"/a", r + 1}}}).status().code(),
            Code::Conflict);
  EXPECT_EQ(b.commit({{{Operation::Kind::Put, "/b", "1", {}, 0},
                       {Operation::Kind::Put, "/a", "2", {}, 0}},
                      {}})
                .status()
                .code(),
            Code::AlreadyExists);
  EXPECT_EQ(b.commit({{}, {}}).status().code(), Code::InvalidArgument);
  EXPECT_EQ(b.value("/a"), "1");
  EXPECT_EQ(b.value("/b"), "(absent)");
  EXPECT_EQ(b.store->revision(), r);
  EXPECT_TRUE(b.erase("/a", r).ok());
  EXPECT_TRUE(b.put("/a", "3", 0).ok());
}

TEST(Store, ChecksAgainstWritesUnderWayButShowsOnlyDurableOnes) {
  Bench b;
  b.machine.disk().set_sync_latency(Duration::milliseconds(100), Duration::milliseconds(100));
  std::vector<std::string> answers;
  const auto note = [&](const char* name) {
    return [&answers, name](base::Result<Revision> r) {
      answers.push_back(std::string(name) + ":" + base::code_name(r.status().code()));
    };
  };
  b.store->commit({{{Operation::Kind::Put, "/a", "1", {}, 0}}, {}}, note("first"));
  b.sim.run_for(Duration::milliseconds(10));
  b.store->commit({{{Operation::Kind::Put, "/a", "2", {}, 0}}, {}}, note("second"));
  b.sim.run_for(Duration::milliseconds(50));
  // The refusal would tell of a write that a crash may still undo.
  EXPECT_TRUE(answers.empty());
  EXPECT_EQ(b.value("/a"), "(absent)");
  EXPECT_TRUE(b.store->list("/")->entries.empty());
  b.sim.run_for(Duration::milliseconds(100));
  EXPECT_EQ(answers, (std::vector<std::string>{"first:Ok", "second:AlreadyExists"}));
  EXPECT_EQ(b.value("/a"), "1");
}

TEST(Store, SharesOneSyncAmongAllThatArriveMeanwhile) {
  Bench b;
  const uint64_t before = b.machine.disk().operations();
  int answered = 0;
  for (int i = 0; i < 100; ++i) {
    b.store->commit({{{Operation::Kind::Put, "/k" + std::to_string(i), "v", {}, 0}}, {}},
                    [&](base::Result<Revision> r) { answered += r.ok(); });
  }
  b.settle();
  EXPECT_EQ(answered, 100);
  EXPECT_EQ(b.machine.disk().operations() - before, 2u);  // one write, one sync
}

TEST(Store, ListsByPageAsOfOneRevision) {
  Bench b;
  for (const char* key : {"/p/a", "/p/b", "/p/c", "/p/d", "/q/x"}) b.must_put(key, "1");
  const Revision then = b.store->revision();
  auto page = b.store->list("/p/", {.at = 0, .limit = 2, .continue_token = {}}).value();
  ASSERT_EQ(page.entries.size(), 2u);
  EXPECT_EQ(page.remaining, 2u);
  b.must_erase("/p/c");
  b.must_put("/p/d", "2");
  b.must_put("/p/e", "1");
  const auto token = page.continue_token;
  page = b.store->list("/p/", {.at = 0, .limit = 2, .continue_token = token}).value();
  ASSERT_EQ(page.entries.size(), 2u);
  EXPECT_EQ(page.entries[0].key, "/p/c");
  EXPECT_EQ(*page.entries[1].bytes, "1");
  EXPECT_EQ(page.revision, then);
  EXPECT_EQ(page.continue_token, "");
  EXPECT_EQ(b.store->list("/p/")->entries.size(), 4u);
  EXPECT_EQ(b.store->list("/p/", {.at = then, .limit = 0, .continue_token = {}})->entries.size(),
            4u);
  EXPECT_EQ(b.store->count("/p/"), 4u);
  EXPECT_EQ(b.store->list("/", {.at = 0, .limit = 0, .continue_token = "?"}).status().code(),
            Code::InvalidArgument);
  EXPECT_EQ(b.store->list("/", {.at = then + 99, .limit = 0, .continue_token = {}}).status().code(),
            Code::FailedPrecondition);
}

TEST(Store, WatchReplaysHistoryAndGoesOnLive) {
  Bench b;
  const Revision start = b.store->revision();
  b.must_put("/p/a", "1");
  b.must_put("/q/a", "other");
  b.must_put("/p/a", "2");
  std::vector<std::string> events;
  auto watch = b.store->watch("/p/", start, b.collect(events)).value();
  b.must_put("/p/b", "1");
  b.must_erase("/p/a");
  b.settle();
  EXPECT_EQ(events, (std::vector<std::string>{"P/p/a=1", "P/p/a=2<1", "P/p/b=1", "D/p/a=2<2"}));
  EXPECT_EQ(watch->position(), b.store->revision());
  watch.reset();
  b.must_put("/p/c", "1");
  EXPECT_EQ(events.size(), 4u);
  EXPECT_EQ(b.store->watch("/", b.store->revision() + 1, {}).status().code(),
            Code::FailedPrecondition);
}

TEST(Store, WatchMayBeEndedAndTheStoreDestroyedFromItsOwnEvents) {
  Bench b;
  std::unique_ptr<Watch> watch;
  int calls = 0;
  watch = b.store
              ->watch("/", b.store->revision(),
                      {.on_event =
                           [&](const Event&) {
                             ++calls;
                             watch.reset();
                           },
                       .on_end = {},
                       .backlog = {}})
              .value();
  std::unique_ptr<Watch> other =
      b.store
          ->watch("/", b.store->revision(),
                  {.on_event = [&](const Event&) { b.store.reset(); }, .on_end = {}, .backlog = {}})
          .value();
  b.must_put("/a", "1");
  b.settle();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(b.store, nullptr);
}

TEST(Store, CutsAWatcherThatIsTooSlowAndRefusesLostHistory) {
  Bench b;
  b.options.history_events = 50;
  b.options.history_age = {};
  b.options.watch_lag_events = 20;
  b.options.watch_backlog_bytes = 10;
  b.open();
  const Revision start = b.store->revision();
  size_t backlog = 11;
  std::vector<std::string> slow, paused;
  auto slow_events = b.collect(slow), paused_events = b.collect(paused);
  slow_events.backlog = [] { return size_t{11}; };
  paused_events.backlog = [&] { return backlog; };
  auto a = b.store->watch("/", start, std::move(slow_events)).value();
  auto c = b.store->watch("/", start, std::move(paused_events)).value();
  for (int i = 0; i < 10; ++i) b.must_put("/k", std::to_string(i));
  b.settle();
  EXPECT_TRUE(slow.empty());
  backlog = 0;
  b.settle();
  EXPECT_EQ(paused.size(), 10u);  // went on where it had stopped
  for (int i = 0; i < 60; ++i) b.must_put("/k", std::to_string(i));
  b.settle();
  EXPECT_EQ(slow, std::vector<std::string>{"Gone"});
  EXPECT_EQ(paused.size(), 70u);
  EXPECT_EQ(b.store->watch("/", start, {}).status().code(), Code::Gone);
  EXPECT_EQ(b.store->list("/", {.at = start, .limit = 0, .continue_token = {}}).status().code(),
            Code::Gone);
}

TEST(Store, KeepsHistoryByNumberAndByAgeAsFarAsItsBytesGo) {
  Bench b;
  b.options.history_events = 5;
  b.options.history_bytes = 100'000;
  b.open();
  const Revision start = b.store->revision();
  const auto put = [&](int times, size_t bytes = 1) {
    for (int i = 0; i < times; ++i) b.must_put("/k", std::string(bytes, 'x'));
  };
  const auto kept = [&] { return b.store->revision() - b.store->oldest_revision(); };
  put(20);
  b.sim.run_for(Duration::minutes(9));
  put(3);
  EXPECT_LE(b.store->oldest_revision(), start);  // younger than ten minutes: all stay
  b.sim.run_for(Duration::minutes(3));
  EXPECT_EQ(kept(), 5U);  // two of the old ones with the three young ones
  b.sim.run_for(Duration::minutes(60));
  EXPECT_EQ(kept(), 5U);  // at least so many, however old
  EXPECT_EQ(b.store->watch("/", start, {}).status().code(), Code::Gone);
  put(3, 40'000);
  EXPECT_EQ(kept(), 2U);  // but no more bytes than that
  EXPECT_GE(Options().history_events, 100'000U);
  EXPECT_GE(Options().history_age, Duration::minutes(10));
}

TEST(Store, SurvivesReopenWithHistoryAndNeverReusesARevision) {
  Bench b;
  const Revision start = b.store->revision();
  b.must_put("/a", "1");
  const Revision last = *b.put("/a", "2");
  b.open();
  EXPECT_EQ(b.value("/a"), "2");
  EXPECT_GT(b.store->revision(), last);
  std::vector<std::string> events;
  auto watch = b.store->watch("/", start, b.collect(events)).value();
  b.settle();
  EXPECT_EQ(events, (std::vector<std::string>{"P/a=1", "P/a=2<1"}));
  EXPECT_GT(*b.put("/a", "3"), last);
}

TEST(Store, SkipsTheRevisionsOfWritesThatACrashLost) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Bench b(seed);
    const Revision acknowledged = *b.put("/a", "1");
    for (int i = 0; i < 50; ++i) {
      b.store->commit({{{Operation::Kind::Put, "/lost", "x", {}, {}}}, {}}, nullptr);
    }
    b.machine.crash();
    b.open();
    EXPECT_GT(*b.put("/a", "2"), acknowledged + 50);
  }
}

TEST(Store, SnapshotsBySizeAndRemovesOlderLogs) {
  Bench b;
  b.options.snapshot_after_log_bytes = 4096;
  b.open();
  for (int i = 0; i < 200; ++i) b.must_put("/k" + std::to_string(i % 7), std::string(100, 'x'));
  b.must_put("/k0", "last");
  b.settle();
  auto names = b.process->world().files.list("/data/store").value();
  EXPECT_LE(names.size(), 3u);  // the lock is no file here
  EXPECT_GE(b.process->logged("store.snapshot"), 3u);
  const Revision before = b.store->revision();
  b.open();
  EXPECT_EQ(b.value("/k0"), "last");
  EXPECT_EQ(b.store->count("/"), 7u);
  EXPECT_GE(b.store->revision(), before);
}

TEST(Store, IsHeldByOneProcess) {
  Bench b;
  sim::SimProcess& other = b.machine.start("second");
  base::Status status;
  Store::open(other.world().files, other.world().timers, other.world().log, "/data/store", {},
              [&](auto result) { status = result.status(); });
  b.settle();
  EXPECT_EQ(status.code(), Code::FailedPrecondition);
  EXPECT_NE(status.message().find("pelton"), std::string::npos);
}

TEST(Store, FailsClosedAfterAFailedSync) {
  Bench b;
  b.must_put("/a", "1");
  std::vector<std::string> events;
  auto watch = b.store->watch("/", b.store->revision(), b.collect(events)).value();
  b.machine.disk().fail_sync(1);
  EXPECT_EQ(b.put("/a", "2").status().code(), Code::OutcomeUnknown);
  EXPECT_EQ(b.put("/a", "3").status().code(), Code::Unavailable);
  EXPECT_FALSE(b.store->health().ok());
  EXPECT_EQ(b.value("/a"), "1");
  b.settle();
  EXPECT_EQ(events, std::vector<std::string>{"Unavailable"});
  b.open();
  const std::string value = b.value("/a");
  EXPECT_TRUE(value == "1" || value == "2") << value;
  // What it shows now is durable, though the kernel held the pages for clean.
  b.machine.crash();
  b.open();
  EXPECT_EQ(b.value("/a"), value);
}

TEST(Store, RefusesWritesWhileTheDiskIsFullAndGoesOnAfter) {
  Bench b;
  const Revision before = *b.put("/a", "1");
  b.machine.disk().set_capacity(200);
  EXPECT_EQ(b.put("/a", std::string(500, 'x')).status().code(), Code::ResourceExhausted);
  EXPECT_EQ(b.value("/a"), "1");
  b.machine.disk().set_capacity({});
  EXPECT_GT(*b.put("/a", "2", before), before + 1);
  b.machine.crash();
  b.open();
  EXPECT_EQ(b.value("/a"), "2");
}

/// Fills the disk at every possible place of a run of writes and snapshots.
TEST(Store, GoesOnWhereverTheDiskFillsUp) {
  for (uint64_t room = 0; room < 6000; room += 97) {
    SCOPED_TRACE(room);
    Bench b;
    b.options.snapshot_after_log_bytes = 1500;
    b.open();
    std::map<std::string, std::string> stored;
    b.machine.disk().set_capacity(b.machine.disk().used_bytes() + room);
    int refused = 0;
    for (int i = 0; i < 40; ++i) {
      const std::string key = "/k" + std::to_string(i % 7);
      const std::string value = std::to_string(i) + std::string(150, 'x');
      const auto answer = b.put(key, value);
      if (answer.ok()) {
        stored[key] = value;
      } else {
        ++refused;
        ASSERT_EQ(answer.status().code(), Code::ResourceExhausted) << answer.status().to_string();
      }
      b.sim.run_for(base::Duration::milliseconds(20));
    }
    b.machine.disk().set_capacity({});
    ASSERT_TRUE(b.store->health().ok()) << b.store->health().to_string();
    ASSERT_TRUE(b.put("/after", "room").ok()) << refused << " were refused before";
    stored["/after"] = "room";
    b.machine.crash();
    b.open();
    for (const auto& [key, value] : stored) EXPECT_EQ(b.value(key), value) << key;
    if (HasFailure()) return;
  }
}

TEST(Store, RefusesToStartOnRotAndNamesFileOffsetRevisionAndTheWayOn) {
  Bench b;
  b.must_put("/a", "1");
  b.must_put("/b", std::string(100, 'y'));
  const Revision good = b.store->revision();
  b.must_put("/c", std::string(100, 'z'));
  b.must_put("/d", "4");
  b.store.reset();
  auto bytes = b.process->world().files.read("/data/store/log-00000001").value();
  ASSERT_TRUE(b.machine.disk().corrupt("/data/store/log-00000001", bytes.find("zzzz")));
  const base::Status status = b.try_open();
  EXPECT_EQ(status.code(), Code::DataLoss);
  const std::string& message = status.message();
  EXPECT_NE(message.find("log-00000001"), std::string::npos) << message;
  EXPECT_NE(message.find("the last good revision is " + std::to_string(good) + "."),
            std::string::npos)
      << message;
  EXPECT_EQ(b.process->world().files.read("/data/store/log-00000001").value().size(), bytes.size());
  // What it says can be done, and leaves what stood before the damage.
  const size_t at = message.find("truncate -s ");
  ASSERT_NE(at, std::string::npos) << message;
  const uint64_t keep = std::stoull(message.substr(at + 12));
  EXPECT_NE(message.find("damaged at offset " + std::to_string(keep)), std::string::npos);
  {
    auto file = b.process->world()
                    .files.open("/data/store/log-00000001", world::OpenMode::ReadWrite)
                    .value();
    ASSERT_TRUE(file->truncate(keep).ok());
  }
  b.open();
  EXPECT_EQ(b.value("/b"), std::string(100, 'y'));
  EXPECT_EQ(b.value("/c"), "(absent)");
}

TEST(Store, RefusesToStartWithoutTheSnapshotThatItsLogsRestOn) {
  Bench b;
  b.must_put("/a", "1");
  b.store->snapshot({});
  b.settle();
  b.store.reset();
  ASSERT_TRUE(b.process->world().files.remove("/data/store/snapshot-00000002").ok());
  const base::Status status = b.try_open();
  EXPECT_EQ(status.code(), Code::DataLoss);
  EXPECT_NE(status.message().find("snapshot-00000002: this snapshot"), std::string::npos)
      << status.message();
  EXPECT_EQ(status.message().find("remove"), std::string::npos) << "that would not help";
}

TEST(Store, RefusesToStartWithoutOneOfItsLogs) {
  Bench b;
  b.must_put("/a", "1");
  b.open();
  b.must_put("/a", "2");
  b.open();
  b.store.reset();
  ASSERT_TRUE(b.process->world().files.remove("/data/store/log-00000002").ok());
  EXPECT_EQ(b.try_open().code(), Code::DataLoss);
}

TEST(Store, RefusesToStartOnADamagedSnapshot) {
  Bench b;
  b.must_put("/a", std::string(100, 'y'));
  b.store->snapshot({});
  b.settle();
  b.store.reset();
  ASSERT_TRUE(b.machine.disk().corrupt("/data/store/snapshot-00000002", 60));
  EXPECT_EQ(b.try_open().code(), Code::DataLoss);
}

}  // namespace
}  // namespace pelton::store
