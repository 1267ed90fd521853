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
//   40  i64      save by: when a node of the job is to go, in ms since 1970; 0: none is. By the
//                supervisor, as the next
//   48  i64      1: every rank has been told so, and they may agree upon a step to save
//   56  i64      answer, by the worker: 0 it does not look at these, 1 it does, N + 2 step N is
//                durable
// then `capacity` records of 32 bytes; record i (from 0) lies in slot i % capacity:
//    0  u64      i + 1
//    8  i64      CLOCK_MONOTONIC in nanoseconds
//   16  i64      step; -1: none
//   24  u32      phase
//   28  0
// then what a thread of the worker says that needs its interpreter's lock for it:
//    0  i64      CLOCK_MONOTONIC in nanoseconds, stamped four times a second; 0: nobody stamps
//    8  i64      1: it collects all its garbage now
// The writer fills the slot, then stores i + 1 in `written`. A reader reads `written`, the slots,
// and `written` again, and drops what may have been overwritten meanwhile.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "decide/health/phase.h"

namespace pelton::launch {

inline constexpr std::string_view kPageMagic = "PLTNBEAT";
inline constexpr uint32_t kPageVersion = 1;
inline constexpr size_t kPageHeader = 64;
inline constexpr size_t kPageRecord = 32;
inline constexpr uint32_t kPageCapacity = 256;
inline constexpr size_t kPageTicks = kPageHeader + kPageRecord * kPageCapacity;
inline constexpr size_t kPageSize = kPageTicks + 16;
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

/// What a page asks of its worker, as bytes for kPageAsks.
inline constexpr size_t kPageAsks = 40;
std::string save_request(base::Instant by);
inline constexpr size_t kPageMayAgree = 48;
std::string may_agree();
/// What the worker answers.
struct SaveAnswer {
  bool is_looking = false;
  int64_t saved_step = -1;
};
SaveAnswer save_answer_in(std::string_view page);
/// When to save by; absent: no save is asked for.
std::optional<base::Instant> save_request_in(std::string_view page);

/// When another thread of the worker last had its interpreter's lock.
struct Tick {
  int64_t at_ns = 0;  ///< CLOCK_MONOTONIC; 0: not known
  bool collects_garbage = false;
};
Tick tick_in(std::string_view page);

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
