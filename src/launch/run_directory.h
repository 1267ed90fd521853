// SPDX-License-Identifier: Apache-2.0
// The directory of one `pelton run`: sockets, heartbeat pages, the record of its generation. In
// memory where that can be had. It goes with its owner; what a killed one has left, the next takes
// away.
#pragma once
#include <memory>
#include <string>

#include "world/world.h"

namespace pelton::launch {

class RunDirectory {
 public:
  /// In /dev/shm, or else in `temporary` (empty: /tmp). Unavailable where neither can be written.
  static base::Result<std::unique_ptr<RunDirectory>> make(world::World& world,
                                                          const std::string& temporary);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  RunDirectory(world::World& world, std::string path, std::unique_ptr<world::FileLock> lock)
      : world_(world), path_(std::move(path)), lock_(std::move(lock)) {}
  static base::Result<std::unique_ptr<RunDirectory>> make_in(world::World& world,
                                                             const std::string& above);
  world::World& world_;
  std::string path_;
  std::unique_ptr<world::FileLock> lock_;
};

}  // namespace pelton::launch
