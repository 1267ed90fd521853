// SPDX-License-Identifier: Apache-2.0
// Small durable writes: our log against SQLite (WAL, synchronous=FULL), with group commit in both.
//
// N writers each put a 1 KiB object, wait until it is durable, and go on. In ours the store itself
// joins what waits into one sync. For SQLite the same is done for it: all that wait share one
// transaction. Arguments: a directory on the disk to measure, writes per row.
#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "os/os_world.h"
#include "store/store.h"

namespace pelton {
namespace {

constexpr size_t kObjectBytes = 1024;
constexpr size_t kKeys = 10'000;
constexpr int kRounds = 5;

struct Row {
  double writes_per_second = 0;
  double p50_ms = 0, p99_ms = 0;
};

Row summarize(std::vector<base::Duration> latencies, base::Duration wall) {
  std::sort(latencies.begin(), latencies.end());
  const auto at = [&](double share) {
    return latencies[static_cast<size_t>(share * static_cast<double>(latencies.size() - 1))]
               .to_seconds() *
           1e3;
  };
  return {static_cast<double>(latencies.size()) / wall.to_seconds(), at(0.5), at(0.99)};
}

Row median(std::vector<Row> rows) {
  std::sort(rows.begin(), rows.end(),
            [](const Row& a, const Row& b) { return a.writes_per_second < b.writes_per_second; });
  return rows[rows.size() / 2];
}

std::string key_of(size_t i) {
  return fmt::format("/core/pods/default/pod-{:08}", i % kKeys);
}

/// Each writer commits its next object when its last one is durable.
class Ours {
 public:
  Ours(os::OsWorld& os, std::string directory, size_t writers, size_t writes)
      : os_(os), directory_(std::move(directory)), writers_(writers), writes_(writes) {}

  Row run() {
    auto& w = os_.world();
    w.files.remove_tree(directory_).ignore("it may not be there");
    store::Store::open(w.files, w.timers, w.log, directory_, {}, [this](auto result) {
      if (!result.ok()) {
        std::fprintf(stderr, "%s\n", result.status().to_string().c_str());
        std::exit(1);
      }
      store_ = std::move(result).value();
      start_ = os_.world().clock.elapsed();
      for (size_t i = 0; i < writers_; ++i) next();
    });
    os_.run();
    const base::Duration wall = w.clock.elapsed() - start_;
    store_.reset();
    return summarize(std::move(latencies_), wall);
  }

 private:
  void next() {
    if (begun_ == writes_) return;
    const base::Duration begin = os_.world().clock.elapsed();
    store::Transaction transaction;
    transaction.operations.push_back(
        {store::Operation::Kind::Put, key_of(begun_++), object_, 20, {}});
    store_->commit(std::move(transaction), [this, begin](base::Result<store::Revision> result) {
      if (!result.ok()) std::exit(1);
      latencies_.push_back(os_.world().clock.elapsed() - begin);
      if (latencies_.size() == writes_) return os_.stop();
      next();
    });
  }

  os::OsWorld& os_;
  const std::string directory_;
  const size_t writers_, writes_;
  const std::string object_ = std::string(kObjectBytes, 'x');
  std::unique_ptr<store::Store> store_;
  size_t begun_ = 0;
  base::Duration start_;
  std::vector<base::Duration> latencies_;
};

void must(int code, sqlite3* db) {
  if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW) return;
  std::fprintf(stderr, "sqlite: %s\n", sqlite3_errmsg(db));
  std::exit(1);
}

Row run_sqlite(world::World& w, const std::string& directory, size_t writers, size_t writes) {
  w.files.remove_tree(directory).ignore("it may not be there");
  if (!w.files.make_directories(directory).ok()) std::exit(1);
  sqlite3* db = nullptr;
  must(sqlite3_open((directory + "/db").c_str(), &db), db);
  for (const char* sql :
       {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
        "CREATE TABLE objects(key TEXT PRIMARY KEY, revision INTEGER, bytes BLOB) "
        "WITHOUT ROWID"}) {
    must(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), db);
  }
  sqlite3_stmt* put = nullptr;
  must(sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO objects VALUES(?1, ?2, ?3)", -1, &put,
                          nullptr),
       db);
  const std::string object(kObjectBytes, 'x');
  std::vector<base::Duration> latencies;
  const base::Duration start = w.clock.elapsed();
  for (size_t done = 0; done < writes;) {
    const base::Duration begin = w.clock.elapsed();
    const size_t batch = std::min(writers, writes - done);
    must(sqlite3_exec(db, "BEGIN", nullptr, nullptr, nullptr), db);
    for (size_t i = 0; i < batch; ++i, ++done) {
      const std::string key = key_of(done);
      sqlite3_bind_text(put, 1, key.data(), static_cast<int>(key.size()), SQLITE_TRANSIENT);
      sqlite3_bind_int64(put, 2, static_cast<int64_t>(done));
      sqlite3_bind_blob(put, 3, object.data(), static_cast<int>(object.size()), SQLITE_STATIC);
      must(sqlite3_step(put), db);
      must(sqlite3_reset(put), db);
    }
    must(sqlite3_exec(db, "COMMIT", nullptr, nullptr, nullptr), db);
    latencies.insert(latencies.end(), batch, w.clock.elapsed() - begin);
  }
  const base::Duration wall = w.clock.elapsed() - start;
  sqlite3_finalize(put);
  sqlite3_close(db);
  return summarize(std::move(latencies), wall);
}

void print(size_t writers, const char* name, const Row& row) {
  fmt::print("{:>7}  {:<28} {:>10.0f} {:>9.2f} {:>9.2f}\n", writers, name, row.writes_per_second,
             row.p50_ms, row.p99_ms);
  std::fflush(stdout);
}

}  // namespace
}  // namespace pelton

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: store_bench DIRECTORY WRITES\n");
    return 2;
  }
  const std::string directory = argv[1];
  const size_t writes = std::strtoul(argv[2], nullptr, 10);
  auto os = pelton::os::make_world({.log_level = pelton::base::Severity::Warning,
                                    .log_to_stderr = true,
                                    .log_file = {},
                                    .files_root = {}});
  if (!os.ok()) return 1;
  fmt::print("1 KiB objects, each durable before its writer goes on\n");
  fmt::print("{:>7}  {:<28} {:>10} {:>9} {:>9}\n", "writers", "store", "writes/s", "p50 ms",
             "p99 ms");
  for (const size_t writers : {1, 8, 64, 512}) {
    const size_t n = writers == 1 ? writes / 8 : writes;
    // In turns, so that a machine that slows down slows both; the median of the throughputs counts.
    std::vector<pelton::Row> sqlite, own;
    for (int round = 0; round < pelton::kRounds; ++round) {
      sqlite.push_back(pelton::run_sqlite((*os)->world(), directory + "/sqlite", writers, n));
      own.push_back(pelton::Ours(**os, directory + "/own", writers, n).run());
    }
    pelton::print(writers, "SQLite, WAL, FULL", pelton::median(sqlite));
    pelton::print(writers, "own log", pelton::median(own));
  }
  for (const char* made : {"/sqlite", "/own"}) {
    (*os)->world().files.remove_tree(directory + made).ignore("only space");
  }
  return 0;
}
