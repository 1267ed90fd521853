// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "net/spdy_codec.h"

namespace pelton::net {
namespace {

using Kind = SpdyFrame::Kind;
using namespace std::literals;

/// Written by Kubernetes' own client library: two SYN_STREAMs, on streams 1 and 3, with the headers
/// streamtype (error, data), port 8080 and requestid 0, the second compressed after the first.
constexpr std::string_view kOpens =
    "\x80\x03\x00\x01\x00\x00\x00\x3e\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x78\xf9\xe3\xc6"
    "\xa7\xc2\x02\x25\x3a\x70\x3a\x2b\x29\x4a\x4d\xcc\x85\x16\x25\xac\xa9\xa0\x80\x86\x14\xcb"
    "\x45\xe0\x1c\x60\x61\x60\x61\xc0\xc0\xc0\xc0\x59\x04\x89\xc6\x4c\x50\xf2\x66\x34\x00\x00"
    "\x00\x00\xff\xff\x80\x03\x00\x01\x00\x00\x00\x18\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00"
    "\xc2\xaa\x19\x54\x0e\x25\x12\xd6\x0b\x00\x00\x00\xff\xff"sv;

std::vector<SpdyFrame> frames_of(SpdyCodec& codec) {
  std::vector<SpdyFrame> frames;
  SpdyFrame frame;
  while (codec.next(frame)) frames.push_back(frame);
  return frames;
}

TEST(SpdyTest, WhatKubernetesClientWritesIsReadAlsoByteByByte) {
  SpdyCodec codec;
  std::vector<SpdyFrame> frames;
  for (const char byte : kOpens) {
    codec.feed({&byte, 1});
    for (SpdyFrame& frame : frames_of(codec)) frames.push_back(std::move(frame));
  }
  ASSERT_EQ(codec.error(), "");
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].kind, Kind::Open);
  EXPECT_EQ(frames[0].stream, 1U);
  EXPECT_EQ(frames[0].headers.get("streamtype"), "error");
  EXPECT_EQ(frames[1].stream, 3U);
  EXPECT_EQ(frames[1].headers.get("streamtype"), "data");
  for (const SpdyFrame& frame : frames) {
    EXPECT_EQ(frame.headers.get("port"), "8080");
    EXPECT_EQ(frame.headers.get("requestid"), "0");
    EXPECT_FALSE(frame.is_last);
  }
}

TEST(SpdyTest, WhatOneSideSaysTheOtherUnderstands) {
  SpdyCodec client, server;
  client.open(1, {{"Port", "80"}});
  client.data(1, "hello", false);
  client.data(1, "", true);
  client.reset(3, SpdyReset::Cancel);
  server.feed(client.take_output());
  const auto heard = frames_of(server);
  ASSERT_EQ(heard.size(), 4U);
  EXPECT_EQ(heard[0].headers.get("port"), "80");
  EXPECT_EQ(heard[1].bytes, "hello");
  EXPECT_FALSE(heard[1].is_last);
  EXPECT_EQ(heard[2].kind, Kind::Data);
  EXPECT_TRUE(heard[2].is_last);
  EXPECT_EQ(heard[3].kind, Kind::Reset);
  EXPECT_EQ(heard[3].stream, 3U);
  server.reply(1, {});
  server.reply(1, {{"a", "b"}});
  client.feed(server.take_output());
  const auto answered = frames_of(client);
  ASSERT_EQ(answered.size(), 2U) << client.error();
  EXPECT_EQ(answered[1].kind, Kind::Reply);
  EXPECT_EQ(answered[1].headers.get("a"), "b");
}

TEST(SpdyTest, ALongDataFrameComesInPiecesAndOnlyTheLastEndsTheStream) {
  SpdyCodec codec;
  codec.feed("\0\0\0\x05\x01\0\0\x04xy"sv);
  auto frames = frames_of(codec);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].bytes, "xy");
  EXPECT_FALSE(frames[0].is_last);
  codec.feed("zz"sv);
  frames = frames_of(codec);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_TRUE(frames[0].is_last);
}

TEST(SpdyTest, APingIsAnsweredAndWhatIsNotKnownIsPassedOver) {
  SpdyCodec codec;
  codec.feed("\x80\x03\0\x06\0\0\0\x04\0\0\0\x07"sv);          // ping
  codec.feed("\x80\x03\0\x09\0\0\0\x08\0\0\0\x01\0\0\1\0"sv);  // window
  codec.feed("\x80\x03\0\x04\0\0\0\x04\0\0\0\0"sv);            // settings
  EXPECT_TRUE(frames_of(codec).empty());
  EXPECT_EQ(codec.error(), "");
  EXPECT_EQ(codec.take_output(), "\x80\x03\0\x06\0\0\0\x04\0\0\0\x07"sv);
}

TEST(SpdyTest, WhatIsBrokenIsSaidAndNothingIsReadAfterIt) {
  for (const std::string_view bytes :
       {"\0\0\0\0\0\0\0\1x"sv,                                    // data for stream 0
        "\x80\x02\0\x06\0\0\0\x04\0\0\0\x07"sv,                   // SPDY/2
        "\x80\x03\0\x03\0\0\0\x04\0\0\0\x01"sv,                   // half a reset
        "\x80\x03\0\x01\0\0\0\x0b\0\0\0\x01\0\0\0\0\0\0x"sv,      // no compression
        "\x80\x03\0\x01\0\xff\xff\xff\0\0\0\x01\0\0\0\0\0\0x"sv,  // 16 MiB of headers
        "\x80\x03\0\x01\0\0\0\x0a\0\0\0\0\0\0\0\0\0\0"sv}) {      // stream 0
    SpdyCodec codec;
    codec.feed(bytes);
    EXPECT_TRUE(frames_of(codec).empty());
    EXPECT_NE(codec.error(), "");
    codec.feed("\0\0\0\1\0\0\0\1x"sv);
    EXPECT_TRUE(frames_of(codec).empty());
  }
}

TEST(SpdyTest, HeadersThatUnpackToTooMuchAreRefused) {
  SpdyCodec client, server;
  client.open(1, {{"a", std::string(1 << 20, 'a')}});
  server.feed(client.take_output());
  EXPECT_TRUE(frames_of(server).empty());
  EXPECT_NE(server.error(), "");
}

}  // namespace
}  // namespace pelton::net
