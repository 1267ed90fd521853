// SPDX-License-Identifier: Apache-2.0
#include "net/spdy_codec.h"

#include <algorithm>
#include <utility>

#include "net/spdy_headers.h"

namespace pelton::net {
namespace {

constexpr size_t kHeadBytes = 8;
constexpr size_t kMaxControl = 64 * 1024;
/// The length of a frame has 24 bits.
constexpr size_t kMaxData = (1U << 24) - 1;
constexpr uint32_t kControlBit = 0x80000000U;
constexpr uint32_t kVersion = 3;
constexpr uint32_t kFlagLast = 1;

enum Type : uint32_t { kOpen = 1, kReply = 2, kReset = 3, kPing = 6, kGoAway = 7, kHeaders = 8 };

void put_u32(std::string& out, uint32_t value) {
  for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(value >> shift & 0xff));
}

uint32_t get_u32(std::string_view bytes) {
  uint32_t value = 0;
  for (const char byte : bytes.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

uint32_t get_stream(std::string_view bytes) {
  return get_u32(bytes) & ~kControlBit;
}

}  // namespace

struct SpdyCodec::Wire {
  SpdyHeaderReader header_reader;
  SpdyHeaderWriter header_writer;
  std::string input, output, error;
  size_t taken = 0;  ///< of the input
  // The data frame under way.
  uint32_t data_stream = 0;
  size_t data_left = 0;
  bool is_last_data = false;

  std::string_view rest() const { return std::string_view(input).substr(taken); }

  bool fail(std::string what) {
    error = std::move(what);
    return false;
  }

  void put_control(uint32_t type, uint32_t flags, std::string_view body) {
    put_u32(output, kControlBit | kVersion << 16 | type);
    put_u32(output, flags << 24 | static_cast<uint32_t>(body.size()));
    output += body;
  }

  bool next_data(SpdyFrame& frame) {
    const std::string_view piece = rest().substr(0, data_left);
    if (piece.empty() && data_left > 0) return false;
    taken += piece.size();
    data_left -= piece.size();
    const bool is_last = is_last_data && data_left == 0;
    frame = {.kind = SpdyFrame::Kind::Data,
             .stream = data_stream,
             .is_last = is_last,
             .headers = {},
             .bytes = std::string(piece)};
    if (data_left == 0) data_stream = 0;
    return true;
  }

  bool read_headers(SpdyFrame& frame, std::string_view block) {
    auto headers = header_reader.read(block);
    if (!headers) return fail("the headers of a SPDY frame cannot be read");
    frame.headers = std::move(*headers);
    return true;
  }

  /// Whether it is a frame for our user; false with an error where it is broken.
  bool read_control(uint32_t type, uint32_t flags, std::string_view body, SpdyFrame& frame) {
    const size_t fixed = type == kOpen ? 10 : type == kReset || type == kGoAway ? 8 : 4;
    if (type != kOpen && type != kReply && type != kReset && type != kPing && type != kGoAway &&
        type != kHeaders) {
      return false;
    }
    if (body.size() < fixed) return fail("a SPDY frame is too short");
    frame = SpdyFrame{};
    frame.stream = get_stream(body);
    frame.is_last = (flags & kFlagLast) != 0;
    if (type == kPing) {
      // Odd: the client's; even: an answer to one of ours, and we send none.
      if (frame.stream % 2 == 1) put_control(kPing, 0, body.substr(0, fixed));
      return false;
    }
    if (type != kGoAway && frame.stream == 0) return fail("a SPDY frame names stream 0");
    switch (type) {
      case kReset:
        frame.kind = SpdyFrame::Kind::Reset;
        return true;
      case kGoAway:
        frame.kind = SpdyFrame::Kind::GoAway;
        return true;
      default:
        frame.kind = type == kOpen ? SpdyFrame::Kind::Open : SpdyFrame::Kind::Reply;
        // Of trailing headers nobody wants to know, but the compression goes on through them.
        return read_headers(frame, body.substr(fixed)) && type != kHeaders;
    }
  }

  bool next(SpdyFrame& frame) {
    while (error.empty()) {
      if (data_stream != 0) return next_data(frame);
      const std::string_view bytes = rest();
      if (bytes.size() < kHeadBytes) return false;
      const uint32_t first = get_u32(bytes);
      const uint32_t second = get_u32(bytes.substr(4));
      const uint32_t flags = second >> 24;
      const size_t length = second & kMaxData;
      if ((first & kControlBit) == 0) {
        if (first == 0) return fail("SPDY data for stream 0");
        taken += kHeadBytes;
        data_stream = first;
        data_left = length;
        is_last_data = (flags & kFlagLast) != 0;
        continue;
      }
      if ((first >> 16 & 0x7fff) != kVersion) return fail("only SPDY/3.1 is spoken here");
      if (length > kMaxControl) return fail("a SPDY frame is too long");
      if (bytes.size() < kHeadBytes + length) return false;
      taken += kHeadBytes + length;
      if (read_control(first & 0xffff, flags, bytes.substr(kHeadBytes, length), frame)) return true;
    }
    return false;
  }

  void put_headers(uint32_t type, std::string body, const Headers& headers) {
    body += header_writer.write(headers);
    put_control(type, 0, body);
  }
};

SpdyCodec::SpdyCodec() : wire_(std::make_unique<Wire>()) {}
SpdyCodec::~SpdyCodec() = default;

void SpdyCodec::feed(std::string_view bytes) {
  if (wire_->error.empty()) wire_->input.append(bytes);
}

bool SpdyCodec::next(SpdyFrame& frame) {
  if (wire_->next(frame)) return true;
  wire_->input.erase(0, std::exchange(wire_->taken, 0));
  return false;
}

const std::string& SpdyCodec::error() const {
  return wire_->error;
}

void SpdyCodec::open(uint32_t stream, const Headers& headers) {
  std::string body;
  put_u32(body, stream);
  put_u32(body, 0);   // no stream that it belongs to
  body.append(2, 0);  // no priority
  wire_->put_headers(kOpen, std::move(body), headers);
}

void SpdyCodec::reply(uint32_t stream, const Headers& headers) {
  std::string body;
  put_u32(body, stream);
  wire_->put_headers(kReply, std::move(body), headers);
}

void SpdyCodec::data(uint32_t stream, std::string_view bytes, bool is_last) {
  do {
    const std::string_view piece = bytes.substr(0, kMaxData);
    bytes.remove_prefix(piece.size());
    const uint32_t flags = is_last && bytes.empty() ? kFlagLast : 0;
    put_u32(wire_->output, stream);
    put_u32(wire_->output, flags << 24 | static_cast<uint32_t>(piece.size()));
    wire_->output += piece;
  } while (!bytes.empty());
}

void SpdyCodec::reset(uint32_t stream, SpdyReset why) {
  std::string body;
  put_u32(body, stream);
  put_u32(body, static_cast<uint32_t>(why));
  wire_->put_control(kReset, 0, body);
}

std::string SpdyCodec::take_output() {
  return std::exchange(wire_->output, {});
}

}  // namespace pelton::net
