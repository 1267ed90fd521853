// SPDX-License-Identifier: Apache-2.0
// The store's one writer: queue, batch under way, log, snapshots. Private to store/.
//
//   commit() -> check against state + under way -> queue_ -> batch_ (write, sync) -> State ->
//   answers -> watchers
//
// While a batch is being synced everything that arrives waits in queue_ and becomes the next batch.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "store/recovery.h"
#include "store/watchers.h"

namespace pelton::store {

/// More operations than this are never under way, and each open skips so many revisions: so none
/// that an earlier process may have given to a lost write is given again.
inline constexpr Revision kRevisionWindow = 100'000;

struct Store::Impl {
  Impl(world::Files& files, world::Timers& timers, base::Log& log, std::string directory,
       Options options, Recovered recovered);

  struct Pending {
    LoggedTransaction operations;  ///< empty: only an answer that waits for its turn
    base::Status failure;
    CommitDone done;
  };

  void commit(Transaction transaction, CommitDone done);
  base::Status check(const Transaction& transaction) const;
  base::Status check_shape(const Transaction& transaction) const;
  base::Status check_key(const std::string& key, std::optional<Revision> expected,
                         bool must_exist) const;
  /// The key's newest revision, writes under way included; 0: absent.
  Revision newest_revision(std::string_view key) const;
  LoggedTransaction log_operations(Transaction transaction);
  void answer_later(CommitDone done, base::Result<Revision> result);

  void wake();
  void flush();
  void on_batch_synced(const base::Status& status);
  void apply_batch();
  /// Answers `batch` and whatever it made possible.
  void answer(std::vector<Pending> batch);
  /// The batch did not happen, nor anything that rests on it; the store goes on.
  void refuse_all(const base::Status& status);
  /// Nothing can be written any more until the store is opened again.
  void fail(const base::Status& status);

  void keep_ageing();
  void start_snapshot(std::function<void(base::Status)> done);
  void give_up_rotation(const base::Status& why);
  void on_rotated(const base::Status& status);
  void write_snapshot_part();
  void finish_snapshot(base::Status status);
  void publish_snapshot();

  world::Files& files;
  world::Timers& timers;
  base::Log& log;
  const std::string directory;
  const Options options;
  State state;
  Watchers watchers;
  std::unique_ptr<world::FileLock> lock;
  world::Timer flush_timer, snapshot_timer, age_timer;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);

  Revision next_revision = 1;
  base::Status failed;  ///< Ok while writes are possible

  std::unique_ptr<world::File> log_file;
  uint64_t log_number = 0;
  uint64_t log_end = 0;    ///< of the current file
  uint64_t log_bytes = 0;  ///< in all logs since the last snapshot
  std::vector<Pending> queue;
  std::vector<Pending> batch;  ///< being written
  bool is_disk_full = false;   ///< the last write found no room
  bool is_writing = false;     ///< a batch or a new log is on its way to the disk
  size_t operations_under_way = 0;
  /// Keys that operations under way change: their newest revision (0: deleted) and of which
  /// operation that is.
  struct UnderWay {
    Revision value = 0;
    Revision by = 0;
  };
  std::map<std::string, UnderWay, std::less<>> under_way;

  struct Snapshot {
    uint64_t number = 0;
    Revision revision = 0;
    std::vector<std::pair<std::string, Value>> entries;
    size_t next = 0;
    uint64_t end = 0;
    std::string path;  ///< the temporary name
    std::unique_ptr<world::File> file;
    std::unique_ptr<world::File> log_file;  ///< the log that begins behind it, until it is ours
    std::vector<std::function<void(base::Status)>> done;
  };
  std::unique_ptr<Snapshot> snapshot;  ///< being made
  bool wants_snapshot = false;
  std::vector<std::function<void(base::Status)>> snapshot_waiters;
};

}  // namespace pelton::store
