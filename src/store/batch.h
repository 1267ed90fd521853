// SPDX-License-Identifier: Apache-2.0
// The bytes on disk: frames with a checksum, and what is in them.
//
// A file is a sequence of frames. One frame is written by one write and made durable by one sync
// before the next begins, so after a crash at most the last frame of the last log is damaged.
//
//   0  u32 magic   4  u32 payload length   8  u64 xxh3 of the payload, seeded with all the rest
//   16 u64 number of the file   24 u64 offset of the frame in the file   32 payload, padded to 8
//
// Number and offset are in the checksum, so that a block that the disk put into the wrong place is
// not taken for a good one. Integers are little-endian.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "store/store.h"

namespace pelton::store {

enum class FrameKind : uint8_t {
  LogStart = 1,      ///< u64 revision: all later ones are above it
  Transactions = 2,  ///< u32 count, then per transaction: u32 count, then its operations
  SnapshotPart = 3,  ///< u32 count, then entries
  SnapshotEnd = 4,   ///< u64 revision, u64 entries: without it the snapshot is not whole
};

/// One operation as the log has it: the revision is spliced in.
struct LoggedOperation {
  Operation::Kind kind = Operation::Kind::Put;
  Revision revision = 0;
  std::string key;
  Bytes bytes;  ///< Delete: the last state for watchers
};
using LoggedTransaction = std::vector<LoggedOperation>;
/// The bytes that Encoder::operations() makes of it: kind, revision, two lengths, key, object.
inline size_t encoded_size(const LoggedOperation& op) {
  return 1 + 8 + 4 + 4 + op.key.size() + op.bytes->size();
}

/// Builds payloads.
class Encoder {
 public:
  explicit Encoder(FrameKind kind) { bytes_.push_back(static_cast<char>(kind)); }
  void u8(uint8_t v) { bytes_.push_back(static_cast<char>(v)); }
  void u32(uint32_t v) { integer(v, 4); }
  void u64(uint64_t v) { integer(v, 8); }
  void bytes(std::string_view v) {
    u32(static_cast<uint32_t>(v.size()));
    bytes_ += v;
  }
  void operations(const LoggedTransaction& transaction);
  void entry(std::string_view key, const Bytes& value, Revision created, Revision revision);
  size_t size() const { return bytes_.size(); }
  void reserve(size_t more) { bytes_.reserve(bytes_.size() + more); }
  const std::string& payload() const { return bytes_; }

 private:
  void integer(uint64_t v, int size) {
    for (int i = 0; i < size; ++i) bytes_.push_back(static_cast<char>(v >> (8 * i)));
  }
  std::string bytes_;
};

/// Reads payloads; after a read past the end everything is zero and is_bad() true.
class Decoder {
 public:
  explicit Decoder(std::string_view payload) : rest_(payload) {}
  uint8_t u8() { return static_cast<uint8_t>(integer(1)); }
  uint32_t u32() { return static_cast<uint32_t>(integer(4)); }
  uint64_t u64() { return integer(8); }
  std::string bytes();
  LoggedTransaction operations();
  Entry entry();
  bool is_bad() const { return is_bad_; }
  bool is_at_end() const { return rest_.empty(); }

 private:
  uint64_t integer(size_t size);
  std::string_view rest_;
  bool is_bad_ = false;
};

/// The frame for a payload at that place.
std::string encode_frame(uint64_t file_number, uint64_t offset, std::string_view payload);

struct Frame {
  uint64_t offset = 0;
  uint64_t size = 0;         ///< of the whole frame
  std::string_view payload;  ///< into the file's bytes
};

struct Scan {
  std::vector<Frame> frames;
  uint64_t end = 0;  ///< of the last good frame before the first damage
  /// Where a good frame stands behind the damage at `end`, which was acknowledged then; 0: there is
  /// none, so that what is behind `end` may never have been.
  uint64_t good_behind = 0;
};

/// Finds the frames of a file.
Scan scan_frames(std::string_view file_bytes, uint64_t file_number);

}  // namespace pelton::store
