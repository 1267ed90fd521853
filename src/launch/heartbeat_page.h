// SPDX-License-Identifier: Apache-2.0
// The heartbeat page: what a worker says about its progress, in shared memory.
//
// One file per rank, made by the supervisor in a tmpfs and mapped by the worker, which writes a
// record whenever a phase begins; the phase lasts until the next record. Nothing blocks and nobody
// is called, and what was written is still there for a supervisor that starts later. The records
// are a ring: who reads too late loses the oldest, never the newest.
//
// Layout, little endian. Header of 64 bytes:
//    0  8 bytes  "PLTNBEAT"
//    8  u32      version, 1
//   12  u32      capacity: records in the ring
//   16  i64      generation
//   24  i32      rank
//   28  i32      pid, written by the worker; 0: it has not begun
//   32  u64      written: number of records ever written
//   40  0
// then `capacity` records of 32 bytes; record i (from 0) lies in slot i % capacity:
//    0  u64      i + 1
//    8  i64      CLOCK_MONOTONIC in nanoseconds
//   16  i64      step; -1: none
//   24  u32      phase
//   28  0
// The writer fills the slot, then stores i + 1 in `written`. A reader reads `written`, the slots,
// and `written` again, and drops what may have been overwritten meanwhile.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "decide/health/phase.h"

namespace pelton::launch {

inline constexpr std::string_view kPageMagic = "PLTNBEAT";
inline constexpr uint32_t kPageVersion = 1;
inline constexpr size_t kPageHeader = 64;
inline constexpr size_t kPageRecord = 32;
inline constexpr uint32_t kPageCapacity = 256;
inline constexpr size_t kPageSize = kPageHeader + kPageRecord * kPageCapacity;
/// Beside the page: {"type", "message", "where"} of the exception that a worker dies of.
inline constexpr const char* kExceptionSuffix = ".exception";

using decide::health::Phase;

/// A phase began.
struct Beat {
  int64_t at_ns = 0;  ///< CLOCK_MONOTONIC
  int64_t step = -1;
  Phase phase = Phase::None;
  bool operator==(const Beat&) const = default;
};

/// The bytes of a new page.
std::string make_page(int64_t generation, int rank);

/// The pid of who writes it, as that says; 0: nobody has begun.
int writer_of(std::string_view page);

/// Reads one page, each record once and in order.
class PageReader {
 public:
  /// InvalidArgument: no page of our version, or one of another generation or rank.
  static base::Status check(std::string_view page, int64_t generation, int rank);

  /// Appends to `beats` what was written since the last call. `page` is of kPageSize, may be
  /// written meanwhile by another process, and may hold anything.
  void read(std::string_view page, std::vector<Beat>& beats);
  /// Records that were overwritten before they could be read.
  uint64_t lost() const { return lost_; }

 private:
  uint64_t next_ = 0;
  uint64_t lost_ = 0;
};

}  // namespace pelton::launch
