// SPDX-License-Identifier: Apache-2.0
#include "store/batch.h"

#include <fmt/format.h>

#include "base/strings.h"

namespace pelton::store {

namespace {

constexpr uint32_t kMagic = 0x54'4c'45'50;  // "PELT"
constexpr size_t kHeader = 32;
constexpr size_t kAlign = 8;

uint64_t load(std::string_view bytes, size_t at, size_t size) {
  uint64_t v = 0;
  for (size_t i = 0; i < size; ++i) {
    v |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[at + i])) << (8 * i);
  }
  return v;
}

void append(std::string& out, uint64_t v, size_t size) {
  for (size_t i = 0; i < size; ++i) out.push_back(static_cast<char>(v >> (8 * i)));
}

uint64_t checksum(std::string_view payload, uint64_t file_number, uint64_t offset) {
  std::string place;
  append(place, payload.size(), 8);
  append(place, file_number, 8);
  append(place, offset, 8);
  return base::hash64(payload, base::hash64(place));
}

size_t padded(size_t size) {
  return (size + kAlign - 1) / kAlign * kAlign;
}

/// The good frame that starts at `at`, or one of size 0.
Frame frame_at(std::string_view bytes, uint64_t file_number, size_t at) {
  if (at + kHeader > bytes.size() || load(bytes, at, 4) != kMagic) return {};
  const size_t length = load(bytes, at + 4, 4);
  if (load(bytes, at + 16, 8) != file_number || load(bytes, at + 24, 8) != at) return {};
  const size_t size = padded(kHeader + length);
  if (length == 0 || size > bytes.size() - at) return {};
  const std::string_view payload = bytes.substr(at + kHeader, length);
  if (checksum(payload, file_number, at) != load(bytes, at + 8, 8)) return {};
  return {at, size, payload};
}

}  // namespace

void Encoder::operations(const LoggedTransaction& transaction) {
  u32(static_cast<uint32_t>(transaction.size()));
  for (const LoggedOperation& op : transaction) {
    u8(static_cast<uint8_t>(op.kind));
    u64(op.revision);
    bytes(op.key);
    bytes(*op.bytes);
  }
}

void Encoder::entry(std::string_view key, const Bytes& value, Revision created, Revision revision) {
  bytes(key);
  bytes(*value);
  u64(created);
  u64(revision);
}

uint64_t Decoder::integer(size_t size) {
  if (is_bad_ || rest_.size() < size) {
    is_bad_ = true;
    return 0;
  }
  const uint64_t v = load(rest_, 0, size);
  rest_.remove_prefix(size);
  return v;
}

std::string Decoder::bytes() {
  const size_t size = u32();
  if (is_bad_ || rest_.size() < size) {
    is_bad_ = true;
    return {};
  }
  std::string out(rest_.substr(0, size));
  rest_.remove_prefix(size);
  return out;
}

LoggedTransaction Decoder::operations() {
  LoggedTransaction out;
  const uint32_t count = u32();
  for (uint32_t i = 0; i < count && !is_bad_; ++i) {
    LoggedOperation op;
    const uint8_t kind = u8();
    if (kind > static_cast<uint8_t>(Operation::Kind::Delete)) is_bad_ = true;
    op.kind = static_cast<Operation::Kind>(kind);
    op.revision = u64();
    op.key = bytes();
    op.bytes = std::make_shared<const std::string>(bytes());
    out.push_back(std::move(op));
  }
  return out;
}

Entry Decoder::entry() {
  Entry entry;
  entry.key = bytes();
  entry.bytes = std::make_shared<const std::string>(bytes());
  entry.created = u64();
  entry.revision = u64();
  return entry;
}

std::string encode_frame(uint64_t file_number, uint64_t offset, std::string_view payload) {
  std::string out;
  out.reserve(padded(kHeader + payload.size()));
  append(out, kMagic, 4);
  append(out, payload.size(), 4);
  append(out, checksum(payload, file_number, offset), 8);
  append(out, file_number, 8);
  append(out, offset, 8);
  out += payload;
  out.resize(padded(out.size()));
  return out;
}

Scan scan_frames(std::string_view bytes, uint64_t file_number) {
  Scan scan;
  while (scan.end < bytes.size()) {
    const Frame frame = frame_at(bytes, file_number, scan.end);
    if (frame.size == 0) break;
    scan.frames.push_back(frame);
    scan.end += frame.size;
  }
  // A frame is begun only after all before it are durable: a good one behind a bad one means that
  // what was acknowledged has changed since.
  for (size_t at = padded(scan.end + 1); at + kHeader <= bytes.size(); at += kAlign) {
    if (frame_at(bytes, file_number, at).size == 0) continue;
    scan.good_behind = at;
    break;
  }
  return scan;
}

}  // namespace pelton::store
