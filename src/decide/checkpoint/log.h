// SPDX-License-Identifier: Apache-2.0
// The log of a checkpoint directory: what is committed, and who may still commit.
//
// A record takes the next number by an operation that only one can win (a link that must not exist,
// a conditional PUT), so that all agree about the order. An attempt to train begins with a fence;
// the fence's number is the attempt's epoch. A commit counts where no fence of another epoch stands
// between its epoch's fence and itself. So whoever wrote or read a fence knows for good what is
// committed before it: a process of an older attempt, however slow, adds nothing to that.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace pelton::decide::checkpoint {

/// A step that may be restored: `directory` holds its manifests and data.
struct Commit {
  int64_t step = 0;
  int64_t epoch = 0;
  std::string directory;
  uint64_t writers = 0;
  std::string plan;
  bool operator==(const Commit&) const = default;
};

struct Record {
  enum class Kind : uint8_t {
    Fence,      ///< an attempt begins: run, generation, job
    Committed,  ///< `commit` is complete and durable
    Dropped,    ///< `commit.directory` may not be restored any more; `reason` says why
    State,      ///< what all records before this one come to; they may be gone
  };
  Kind kind = Kind::Fence;
  std::string job;
  std::string run;         ///< which launch of the job: generations of one run can be compared
  int64_t generation = 0;  ///< of that run
  int64_t epoch = 0;       ///< of who wrote it (Fence: its own number, not stored)
  Commit commit;
  std::string reason;
  std::vector<Commit> commits;         ///< State
  std::vector<std::string> past_runs;  ///< State
  bool operator==(const Record&) const = default;
};

base::Json to_json(const Record& record);
/// FailedPrecondition: a newer format. InvalidArgument names the field.
base::Result<Record> record_of(const base::Json& json);

/// What the records up to some number come to.
struct LogState {
  int64_t last = 0;   ///< number of the last record; 0: none
  int64_t epoch = 0;  ///< of the newest fence; 0: none
  std::string job, run;
  int64_t generation = 0;
  std::vector<std::string> past_runs;  ///< runs that a fence of another run ended
  std::vector<Commit> commits;         ///< those that count, in the order of the log
  std::vector<int64_t> unreadable;     ///< numbers of records that are damaged

  /// The next record. One that does not count (a commit of an older epoch) only moves `last`.
  void add(int64_t number, const Record& record);
  /// A damaged record. What it was shows by what follows: a commit of that epoch, or of the one
  /// before it.
  void add_unreadable(int64_t number);
  /// The last by epoch, then by step: who begins again from an older step leaves what came after
  /// it behind. nullptr where there is none.
  const Commit* newest() const;
  Record to_record() const;  ///< Kind::State
};

/// Who wants to begin, or go on.
struct Attempt {
  std::string job, run;
  int64_t generation = 0;
};

/// What an attempt does first: join the epoch that a peer began (the number), or write a fence
/// (absent). FailedPrecondition: of another job (reason "OtherJob"), or fenced by a newer
/// generation or a later run ("Fenced"); the message says what to do.
base::Result<std::optional<int64_t>> decide_begin(const LogState& state, const Attempt& attempt);

/// Ok: `commit` may be appended as the next record. FailedPrecondition ("Fenced") where another
/// epoch has begun; AlreadyExists where it is there already.
base::Status decide_commit(const LogState& state, const Commit& commit);

/// What may go, given the names of the directories that are there.
struct Cleaning {
  std::vector<Commit> drop;            ///< to be recorded as Dropped before they are removed
  std::vector<std::string> remove;     ///< directories: dropped ones, and unfinished ones that
                                       ///< nobody can commit any more
  std::optional<int64_t> state_after;  ///< write a State record, then remove records up to here
};
/// Keeps the `keep` (at least 1) newest commits, and what a writer of the present epoch may be
/// writing: a step after the newest commit of this epoch. Unknown names are left alone.
Cleaning decide_cleaning(const LogState& state, const std::vector<std::string>& directories,
                         size_t records, size_t keep);

/// "step-000000000020-e3": one directory per step and epoch, so that two attempts never mix.
std::string step_directory(int64_t step, int64_t epoch);
std::optional<std::pair<int64_t, int64_t>> step_and_epoch(std::string_view directory);
std::string record_name(int64_t number);  ///< "000000000007.record"
std::optional<int64_t> record_number(std::string_view name);

}  // namespace pelton::decide::checkpoint
