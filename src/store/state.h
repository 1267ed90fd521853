// SPDX-License-Identifier: Apache-2.0
// What is durable: the newest state by key, and the changes that led there, for watches and for
// lists as of an earlier revision. No I/O; Store feeds it with what the disk confirmed.
#pragma once
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "store/batch.h"
#include "store/store.h"

namespace pelton::store {

/// A key's value without the key.
struct Value {
  Bytes bytes;
  Revision created = 0;
  Revision revision = 0;
};
using Index = std::map<std::string, Value, std::less<>>;

/// One change with what it takes to undo it.
struct Change {
  Event event;
  std::optional<Value> before;
};

class State {
 public:
  State() = default;
  explicit State(const Options& options);

  /// Loads an entry of a snapshot: no history comes from it.
  void load(Entry entry);
  /// Ends loading: the state is the one at `revision`, and history begins there.
  void loaded(Revision revision);
  /// Makes the change. FailedPrecondition where its revision is not above the newest, or a delete
  /// has nothing to delete: the log cannot contain that.
  base::Status apply(const LoggedOperation& operation);
  /// Time goes on: called kAgeTicks times in Options::history_age. What comes of a log begins its
  /// age when it is loaded.
  static constexpr size_t kAgeTicks = 10;
  void tick();
  /// Skips to `revision` without a change.
  void advance(Revision revision) { revision_ = std::max(revision_, revision); }

  const Index& index() const { return index_; }
  Revision revision() const { return revision_; }
  Revision oldest() const { return oldest_; }

  base::Result<ListPage> list(std::string_view prefix, const ListOptions& options) const;
  size_t count(std::string_view prefix) const;

  /// The first change above `revision`, as a position in history(); revision >= oldest().
  size_t position_after(Revision revision) const;
  const std::deque<Change>& history() const { return history_; }

 private:
  void trim();
  size_t min_events_ = 0;
  size_t max_bytes_ = 0;
  Revision aged_ = 0;           ///< up to here events are old enough to go
  std::deque<Revision> ticks_;  ///< the newest revision at each of the last ticks
  Index index_;
  std::deque<Change> history_;
  size_t history_bytes_ = 0;
  Revision revision_ = 0;
  Revision oldest_ = 0;
};

/// Whether `text` begins with `prefix`.
inline bool has_prefix(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

}  // namespace pelton::store
