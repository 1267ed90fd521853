// SPDX-License-Identifier: Apache-2.0
// The log of one attempt at running a container, in several files: `log` is written; when it is
// full it becomes log.N, N one more than ever before, and the oldest of these goes.
//
// Numbers are never used twice, so that a reader who was in the middle of a file finds it again
// under its number, reads it to its end and goes on with the next: nothing is missed or doubled.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/container_record.h"
#include "world/files.h"

namespace pelton::agent {

/// The numbers N of the files log.N, ascending.
std::vector<int64_t> rotated_logs(world::Files& files, const ContainerPaths& paths);

/// The writing end; one per attempt.
class LogAppender {
 public:
  LogAppender(world::Files& files, ContainerPaths paths, LogLimits limits)
      : files_(files), paths_(std::move(paths)), limits_(limits) {}
  base::Status open();
  /// Whole records. A failed write (a full disk) loses these records, and no others.
  base::Status append(std::string_view records);

 private:
  base::Status rotate();
  world::Files& files_;
  ContainerPaths paths_;
  LogLimits limits_;
  std::unique_ptr<world::File> file_;
  uint64_t size_ = 0;
};

/// The reading end: from somewhere in `log`, then on through every rotation.
class LogFollower {
 public:
  LogFollower(world::Files& files, ContainerPaths paths)
      : files_(files), paths_(std::move(paths)) {}
  /// Opens `log`; false where there is none yet.
  bool open();
  bool is_open() const { return file_ != nullptr; }
  void skip_to(uint64_t offset) { offset_ = offset; }
  /// The next bytes, at most `size`; "" where there are none now. Errors are the disk's.
  base::Result<std::string> read(size_t size);

 private:
  bool open_after(int64_t number);
  world::Files& files_;
  ContainerPaths paths_;
  std::unique_ptr<world::File> file_;
  uint64_t offset_ = 0;
  int64_t number_ = 0;  ///< that our file has or will get
};

}  // namespace pelton::agent
