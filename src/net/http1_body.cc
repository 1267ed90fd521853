// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "net/http1.h"

namespace pelton::net {
namespace {

constexpr size_t kMaxChunkLine = 1024;
constexpr size_t kMaxTrailer = 16 * 1024;

/// The size at the front of a chunk's line; extensions after ';' are ignored. Over 60 bits, or no
/// size: nullopt.
std::optional<uint64_t> parse_chunk_size(std::string_view line) {
  const std::string_view digits = base::trim(line.substr(0, line.find(';')));
  if (digits.empty() || digits.size() > 15 || line.front() == ' ' || line.front() == '\t') {
    return std::nullopt;
  }
  uint64_t size = 0;
  for (const char c : digits) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    size = size * 16 + static_cast<uint64_t>(digit);
  }
  return size;
}

}  // namespace

void BodyReader::reset(Kind kind, uint64_t length) {
  kind_ = kind;
  left_ = length;
  line_.clear();
  trailer_bytes_ = 0;
  error_ = nullptr;
  const bool is_empty = kind == Kind::None || (kind == Kind::Length && length == 0);
  state_ = is_empty ? State::Done : kind == Kind::Chunked ? State::Size : State::Data;
}

std::string_view BodyReader::fail(const char* error) {
  error_ = error;
  return {};
}

bool BodyReader::read_line(std::string_view& bytes) {
  const size_t end = bytes.find('\n');
  const size_t taken = end == std::string_view::npos ? bytes.size() : end + 1;
  if (line_.size() + taken > kMaxChunkLine) {
    fail("a line within the chunked body is too long");
    return false;
  }
  line_.append(bytes.substr(0, taken));
  bytes.remove_prefix(taken);
  if (end == std::string_view::npos) return false;
  if (line_.size() < 2 || line_[line_.size() - 2] != '\r') {
    fail("a line within the chunked body does not end with CR LF");
    return false;
  }
  line_.resize(line_.size() - 2);
  return true;
}

std::string_view BodyReader::next(std::string_view& bytes) {
  while (error_ == nullptr && state_ != State::Done && !bytes.empty()) {
    if (state_ == State::Data) {
      if (kind_ == Kind::UntilClose) return std::exchange(bytes, {});
      const size_t size = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
      const std::string_view piece = bytes.substr(0, size);
      bytes.remove_prefix(size);
      left_ -= size;
      if (left_ == 0) state_ = kind_ == Kind::Chunked ? State::DataEnd : State::Done;
      return piece;
    }
    if (!read_line(bytes)) break;
    if (state_ == State::Size) {
      const auto size = line_.empty() ? std::nullopt : parse_chunk_size(line_);
      if (!size) return fail("a chunk's size is not a hexadecimal number");
      left_ = *size;
      state_ = left_ == 0 ? State::Trailer : State::Data;
    } else if (state_ == State::DataEnd) {
      if (!line_.empty()) return fail("a chunk is longer than its size");
      state_ = State::Size;
    } else if (line_.empty()) {
      state_ = State::Done;
    } else {
      trailer_bytes_ += line_.size();
      if (trailer_bytes_ > kMaxTrailer) return fail("the trailer is too long");
    }
    line_.clear();
  }
  return {};
}

}  // namespace pelton::net
