// SPDX-License-Identifier: Apache-2.0
// Header blocks of SPDY/3: names and values, compressed by zlib with a dictionary that both sides
// know; each direction of a connection is one compressed stream. Internal to net/.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/http.h"

namespace pelton::net {

class SpdyHeaderReader {
 public:
  SpdyHeaderReader();
  ~SpdyHeaderReader();
  /// nullopt where the block is broken or over 64 KiB unpacked; nothing can be read after that.
  std::optional<Headers> read(std::string_view block);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class SpdyHeaderWriter {
 public:
  SpdyHeaderWriter();
  ~SpdyHeaderWriter();
  std::string write(const Headers& headers);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pelton::net
