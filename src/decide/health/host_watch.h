// SPDX-License-Identifier: Apache-2.0
// What a machine's disks and clock say about it, from readings a few seconds apart. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "decide/health/kernel_log.h"

namespace pelton::decide::health {

struct HostReading {
  struct Disk {
    std::string path;  ///< of a directory on it
    uint64_t free_bytes = 0, total_bytes = 0;
  };
  base::Instant wall;      ///< the time that everybody sees
  base::Duration elapsed;  ///< on the clock that nobody sets
  std::vector<Disk> disks;
};

class HostWatch {
 public:
  /// "DiskFull": less than a hundredth of a disk is left, and less than 1 GiB; once, until twice as
  /// much is free again. "ClockStep": the time of day was set by half a second or more.
  std::vector<NodeFinding> look(const HostReading& reading, std::string_view node);

 private:
  std::set<std::string> full_;
  std::optional<base::Duration> offset_;  ///< wall over elapsed, at the last reading
};

}  // namespace pelton::decide::health
