// SPDX-License-Identifier: Apache-2.0
// The log of a checkpoint directory (decide/checkpoint/log.h) as files: DIRECTORY/log/.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "decide/checkpoint/log.h"
#include "world/files.h"

namespace pelton::checkpoint {

/// Destroying it while something is under way is fine: its `done` comes all the same.
class LogFile {
 public:
  using LogState = decide::checkpoint::LogState;
  using Record = decide::checkpoint::Record;
  /// Given the state, the record to append; AlreadyExists: it is there, and only has to be durable.
  using Decide = std::function<base::Result<Record>(const LogState&)>;
  using Done = std::function<void(base::Result<LogState>)>;

  /// `name` is in use by nobody else who writes there: of temporary files.
  LogFile(world::Files& files, std::string directory, std::string name);

  /// As it is now; what it says may not be durable yet. NotFound: there is none. DataLoss names the
  /// file: the first record that is needed cannot be read.
  base::Result<LogState> read() const;
  /// Asks `decide` for the record, gives it the next number, asks again where another was quicker.
  /// `done` gets the state with the record, durable; or the error of `decide` or the disk.
  void append(Decide decide, Done done) const;
  /// Begins, or joins, an attempt. `done` gets the state, whose epoch is the attempt's.
  void begin(const decide::checkpoint::Attempt& attempt, Done done) const;
  /// Removes the records up to `number`, which a State record stands for.
  void remove_up_to(int64_t number) const;

 private:
  struct Append;
  /// FailedPrecondition: of a newer format. NotFound, DataLoss, InvalidArgument: damaged or gone.
  base::Result<Record> read_record(int64_t number) const;

  world::Files& files_;
  std::string directory_;
  std::string name_;
  /// Of temporary files: several appends may be under way; copies of this count together.
  std::shared_ptr<uint64_t> count_ = std::make_shared<uint64_t>(0);
  /// Records that have been read: one is never changed, so none is read twice.
  std::shared_ptr<std::map<int64_t, Record>> known_ = std::make_shared<std::map<int64_t, Record>>();
};

}  // namespace pelton::checkpoint
