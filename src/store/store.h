// SPDX-License-Identifier: Apache-2.0
// Durable versioned objects with watch: the memory of the embedded API server.
//
// The store maps keys to immutable bytes and numbers every change with a revision. One writer
// orders the changes; a transaction is acknowledged, and its revisions are shown, only after
// fdatasync returned. All transactions that arrive while one fdatasync runs share the next (group
// commit).
//
// Keys are "/<group or core>/<plural>/<namespace or empty>/<name>"; the store knows only that they
// sort. Every operation of a transaction has a revision of its own (a watcher that was cut within a
// transaction can resume in the middle), yet a transaction is all there or not at all, also after a
// crash. No revision is used twice, not even one whose write was lost: each open skips ahead.
//
// On disk (docs/adr/0001-store.md): log-N files of checksummed batches, snapshot-N files with the
// state before log-N, one lock file. Everything runs on one loop; callbacks come from the loop,
// never from within the call that caused them.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "world/files.h"
#include "world/timers.h"

namespace pelton::store {

/// Position in the order of all changes. 0 is before everything.
using Revision = uint64_t;
/// Stored bytes are shared by the index, the history and every answer that sends them; they never
/// change.
using Bytes = std::shared_ptr<const std::string>;

/// What a key holds.
struct Entry {
  std::string key;
  Bytes bytes;
  Revision created = 0;   ///< of the operation that made the key
  Revision revision = 0;  ///< of the operation that last changed it
};

/// One change of one key.
struct Operation {
  enum class Kind : uint8_t { Put, Delete };
  Kind kind = Kind::Put;
  std::string key;
  /// Put: what to store. Delete: the object's last state as watchers are to see it (with the
  /// revision of the deletion spliced in); empty: the stored bytes as they are.
  std::string bytes;
  /// Where in `bytes` the operation's own revision is inserted as decimal digits.
  std::optional<size_t> revision_at;
  /// The key's revision that the writer saw: 0 means that the key must be absent, nullopt that
  /// nothing is expected.
  std::optional<Revision> expected;
};

/// A key that must still be as the writer saw it (0: absent), though it is not changed.
struct Precondition {
  std::string key;
  Revision expected = 0;
};

/// Changes that happen together or not at all. No key may appear in two operations.
struct Transaction {
  std::vector<Operation> operations;
  std::vector<Precondition> preconditions;
};

/// What the writer stores for `bytes`: the same splice, for the answer to the one who wrote.
std::string splice_revision(std::string_view bytes, std::optional<size_t> at, Revision revision);

/// The token that goes on behind the same key in the newest state, for a client whose pages'
/// revision is no longer kept and who would rather go on than begin anew. InvalidArgument: not one
/// of ours.
base::Result<std::string> newest_token(std::string_view continue_token);

struct ListOptions {
  /// The state as of this revision; 0: the newest durable one.
  Revision at = 0;
  /// At most so many entries; 0: all.
  size_t limit = 0;
  /// From an earlier page; `at` is then ignored, since the token carries its revision.
  std::string continue_token;
};

struct ListPage {
  std::vector<Entry> entries;  ///< sorted by key
  Revision revision = 0;       ///< of the state that this is a page of
  std::string continue_token;  ///< empty: this was the last page
  size_t remaining = 0;        ///< entries after this page
};

/// A change as watchers see it.
struct Event {
  enum class Kind : uint8_t { Put, Delete };
  Kind kind = Kind::Put;
  std::string key;
  Bytes bytes;     ///< the new state; for Delete the last one
  Bytes previous;  ///< the state before; null where the key was absent (so: created)
  Revision revision = 0;
};

struct WatchEvents {
  std::function<void(const Event&)> on_event;
  /// Ended by the store: Gone (too slow, or history no longer kept: list anew), Unavailable (the
  /// store failed). Last call.
  std::function<void(base::Status)> on_end;
  /// Bytes that the receiver has taken but not passed on. While it is above
  /// Options::watch_backlog_bytes nothing more is delivered; a watcher that stays so until it is
  /// Options::watch_lag_events behind is cut. Absent: never slow.
  std::function<size_t()> backlog;
};

/// A watch under way. Destroying it ends it: no call comes after, also when destroyed by a
/// callback.
class Watch {
 public:
  virtual ~Watch() = default;
  /// Everything up to this revision was delivered (for bookmarks).
  virtual Revision position() const = 0;
};

struct Options {
  /// Kept for watches and older lists: at least so many events, and at least those of the last so
  /// long (0: age keeps none), unless they have more bytes than the third says.
  size_t history_events = 100'000;
  base::Duration history_age = base::Duration::minutes(10);
  size_t history_bytes = size_t{512} << 20;
  size_t snapshot_after_log_bytes = size_t{64} << 20;
  size_t watch_backlog_bytes = size_t{4} << 20;
  size_t watch_lag_events = 100'000;
  size_t max_transaction_bytes = size_t{32} << 20;
  std::string holder = "pelton";  ///< written into the lock file, e.g. "pid 42"
};

class Store {
 public:
  using OpenDone = std::function<void(base::Result<std::unique_ptr<Store>>)>;
  using CommitDone = std::function<void(base::Result<Revision>)>;

  /// Opens or makes the store in `directory` and recovers what was acknowledged. `done` gets:
  /// FailedPrecondition: another process holds it (the message names the holder).
  /// DataLoss: stored bytes are not what was written; names file, offset and last good revision.
  /// Others as Files gives them. The parts must outlive the store.
  static void open(world::Files& files, world::Timers& timers, base::Log& log,
                   std::string directory, Options options, OpenDone done);
  ~Store();  ///< without waiting: transactions not yet answered may or may not be found again
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// Checks against the newest state (writes under way included), appends, and calls `done` once
  /// with the revision of the last operation when it is durable; operation i of n has the revision
  /// result - (n - 1 - i). Errors, told no earlier than what they rest on is durable:
  /// Conflict (a key has another revision), AlreadyExists (expected absent), NotFound (expected
  /// present, or Delete of an absent key): nothing was changed. InvalidArgument: no operations, a
  /// key twice, a splice outside the bytes, too large. ResourceExhausted: the disk is full, or too
  /// many writes are under way; nothing was changed, the store goes on.
  /// OutcomeUnknown: the disk failed while it was under way; Unavailable: it failed before
  /// (health).
  void commit(Transaction transaction, CommitDone done);

  /// Newest durable state of a key; nullopt where absent.
  std::optional<Entry> get(std::string_view key) const;

  /// Entries whose key begins with `prefix`. Gone: the revision of `at` or of the token is no
  /// longer kept. InvalidArgument: not a token of ours. FailedPrecondition: `at` is in the future.
  base::Result<ListPage> list(std::string_view prefix, const ListOptions& options = {}) const;
  /// How many entries have the prefix now.
  size_t count(std::string_view prefix) const;

  /// Delivers every event with a key under `prefix` and revision > `from`, in order. Gone: `from`
  /// is no longer kept. FailedPrecondition: `from` is in the future.
  base::Result<std::unique_ptr<Watch>> watch(std::string_view prefix, Revision from,
                                             WatchEvents events);

  Revision revision() const;         ///< newest durable
  Revision oldest_revision() const;  ///< the oldest from which a watch can start
  base::Status health() const;       ///< Ok, or why nothing can be written until it is reopened
  /// Writes a snapshot now (it also happens by itself, by size); `done` when older logs are gone.
  void snapshot(std::function<void(base::Status)> done);

 private:
  struct Impl;
  friend struct StoreOpener;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pelton::store
