// SPDX-License-Identifier: Apache-2.0
// SPDY/3.1 as a codec: bytes to frames and back; no sockets, no time.
//
// The dead predecessor of HTTP/2. Nothing but `kubectl port-forward` needs it: it carries many
// streams in one WebSocket. So this is what Kubernetes' clients use of it: streams with headers,
// data, ends and resets. Nobody there keeps to flow control; settings, windows and trailing headers
// are read and passed over, pings are answered.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/http.h"

namespace pelton::net {

enum class SpdyReset : uint32_t { ProtocolError = 1, InvalidStream = 2, Refused = 3, Cancel = 5 };

struct SpdyFrame {
  enum class Kind : uint8_t {
    Open,    ///< a new stream, with headers (names in lower case)
    Reply,   ///< the peer takes our stream, with headers
    Data,    ///< bytes of a stream; long frames come in pieces
    Reset,   ///< a stream is over for both sides
    GoAway,  ///< the peer opens no more streams
  };
  Kind kind = Kind::Data;
  uint32_t stream = 0;
  bool is_last = false;  ///< the peer sends no more on this stream
  Headers headers;
  std::string bytes;
};

class SpdyCodec {
 public:
  SpdyCodec();
  ~SpdyCodec();
  SpdyCodec(const SpdyCodec&) = delete;
  SpdyCodec& operator=(const SpdyCodec&) = delete;

  /// Takes bytes of the peer; nothing after an error. What they complete is then in next(), what
  /// they demand in take_output().
  void feed(std::string_view bytes);
  /// The next frame; false where there is none.
  bool next(SpdyFrame& frame);
  /// What the peer did wrong; empty where nothing. There is no going on after it: the headers of
  /// all streams are compressed as one.
  const std::string& error() const;

  // Each adds to the output.
  void open(uint32_t stream, const Headers& headers);
  void reply(uint32_t stream, const Headers& headers);
  void data(uint32_t stream, std::string_view bytes, bool is_last);
  void reset(uint32_t stream, SpdyReset why);
  std::string take_output();

 private:
  struct Wire;
  std::unique_ptr<Wire> wire_;
};

}  // namespace pelton::net
