// SPDX-License-Identifier: Apache-2.0
// SPDY frames from arbitrary bytes: no crash, the same however it is cut, and headers from
// arbitrary bytes come out as they went in.
#include <cstdint>
#include <string>

#include "net/spdy_codec.h"

namespace pelton::net {
namespace {

/// What the codec understood of the bytes, in pieces of `step`, and what it answers. Data is one
/// text for each stretch of the same stream, since its pieces depend on the cuts.
std::string read(std::string_view bytes, size_t step) {
  SpdyCodec codec;
  std::string out;
  uint32_t data_stream = 0;
  for (size_t at = 0; at < bytes.size(); at += step) {
    codec.feed(bytes.substr(at, step));
    SpdyFrame frame;
    while (codec.next(frame)) {
      const bool is_data = frame.kind == SpdyFrame::Kind::Data;
      if (is_data && frame.bytes.empty() && !frame.is_last) continue;
      if (!is_data || frame.stream != data_stream) {
        out += "\n" + std::to_string(static_cast<int>(frame.kind)) + " " +
               std::to_string(frame.stream) + " ";
      }
      out += frame.bytes;
      for (const auto& [name, value] : frame.headers.fields()) out += name + "=" + value + ";";
      if (frame.is_last) out += " last";
      data_stream = is_data && !frame.is_last ? frame.stream : 0;
    }
  }
  return out + "\n" + codec.error() + codec.take_output();
}

void check_round_trip(std::string_view bytes) {
  SpdyCodec client, server;
  const size_t middle = bytes.size() / 2;
  Headers headers;
  headers.add("a" + base::to_lower(bytes.substr(0, middle)), std::string(bytes.substr(middle)));
  for (const uint32_t stream : {1U, 3U}) client.open(stream, headers);
  server.feed(client.take_output());
  SpdyFrame frame;
  for (const uint32_t stream : {1U, 3U}) {
    PELTON_CHECK(server.next(frame) && frame.stream == stream);
    PELTON_CHECK(frame.headers.fields() == headers.fields());
  }
}

}  // namespace
}  // namespace pelton::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = pelton::net::read(bytes, size);
  for (const size_t step : {size_t{1}, size_t{7}}) {
    PELTON_CHECK(pelton::net::read(bytes, step) == whole);
  }
  pelton::net::check_round_trip(bytes.substr(0, 4096));
  return 0;
}
