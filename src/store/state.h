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
  State(size_t history_events, size_t history_bytes)
      : max_events_(history_events), max_bytes_(history_bytes) {}

  /// Loads an entry of a snapshot: no history comes from it.
  void load(Entry entry);
  /// Ends loading: the state is the one at `revision`, and history begins there.
  void loaded(Revision revision);
  /// Makes the change. FailedPrecondition where its revision is not above the newest, or a delete
  /// has nothing to delete: the log cannot contain that.
  base::Status apply(const LoggedOperation& operation);
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
  size_t max_events_ = 0;
  size_t max_bytes_ = 0;
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
