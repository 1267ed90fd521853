// SPDX-License-Identifier: Apache-2.0
#include "net/http1.h"

#include <gtest/gtest.h>

namespace pelton::net {
namespace {

std::string get(const std::string& fields = "") {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}

/// Reads one request and expects that it is refused with this status.
void expect_refused(const std::string& bytes, int status) {
  RequestReader reader{Limits()};
  reader.feed(bytes);
  EXPECT_FALSE(reader.next().has_value()) << bytes;
  ASSERT_TRUE(reader.error().has_value()) << bytes;
  EXPECT_EQ(reader.error()->status, status) << bytes << reader.error()->message;
}

TEST(RequestReaderTest, ARequestIsReadWholeHoweverItIsCut) {
  const std::string bytes =
      "POST /api/v1/pods?dryRun=All HTTP/1.1\r\nHost: a\r\nContent-Type:  text/plain \r\n"
      "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
      "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
  for (size_t step = 1; step <= bytes.size(); ++step) {
    RequestReader reader{Limits()};
    std::vector<Request> requests;
    for (size_t at = 0; at < bytes.size(); at += step) {
      reader.feed(std::string_view(bytes).substr(at, step));
      while (auto request = reader.next()) requests.push_back(std::move(*request));
    }
    ASSERT_EQ(requests.size(), 2u) << "in pieces of " << step;
    EXPECT_EQ(requests[0].method, "POST");
    EXPECT_EQ(requests[0].target, "/api/v1/pods?dryRun=All");
    EXPECT_EQ(requests[0].headers.get("content-type"), "text/plain");
    EXPECT_EQ(requests[0].body, "hello world");
    EXPECT_EQ(requests[1].target, "/next");
    EXPECT_EQ(reader.buffered_bytes(), 0u);
  }
}

TEST(RequestReaderTest, WhatCouldBeUnderstoodInTwoWaysIsRefused) {
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  expect_refused(get("Content-Length: 3\r\n" + chunked) + "abc", 400);
  expect_refused(get("Content-Length: 3\r\nContent-Length: 3\r\n") + "abc", 400);
  expect_refused(get("Content-Length: 3\r\nContent-Length: 4\r\n") + "abc", 400);
  expect_refused(get("Content-Length: 3, 3\r\n") + "abc", 400);
  expect_refused(get("Content-Length: +3\r\n") + "abc", 400);
  expect_refused(get("Content-Length: -1\r\n"), 400);
  expect_refused(get("Content-Length: 0x3\r\n") + "abc", 400);
  expect_refused(get("Content-Length: 99999999999999999999\r\n"), 400);
  expect_refused(get(chunked + chunked), 400);
  expect_refused(get("Transfer-Encoding: gzip, chunked\r\n"), 501);
  expect_refused(get("Transfer-Encoding: identity\r\n"), 501);
  expect_refused(get("Name : value\r\n"), 400);
  expect_refused(get("Name: value\r\n folded\r\n"), 400);
  expect_refused(get("Name\r\n"), 400);
  expect_refused(get("Na\nme: value\r\n"), 400);
  expect_refused(get("Name: val\rue\r\n"), 400);
  expect_refused(get(std::string("Name: val\0ue\r\n", 14)), 400);
  expect_refused("GET / HTTP/1.1\nHost: a\n\r\n\r\n", 400);
  expect_refused("GET / HTTP/1.1\r\n\r\n", 400);
  expect_refused(get("Host: b\r\n"), 400);
  expect_refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
}

TEST(RequestReaderTest, BadChunksAreRefused) {
  const std::string head = get("Transfer-Encoding: chunked\r\n");
  expect_refused(head + "x\r\n", 400);
  expect_refused(head + "\r\n", 400);
  expect_refused(head + "-1\r\n", 400);
  expect_refused(head + " 1\r\na\r\n0\r\n\r\n", 400);
  expect_refused(head + "1\r\nabc\r\n", 400);
  expect_refused(head + "1\na\r\n", 400);
  expect_refused(head + "ffffffffffffffffff\r\n", 400);
  expect_refused(head + "1;" + std::string(2000, 'x') + "\r\n", 400);
}

TEST(RequestReaderTest, BadRequestLinesAreRefused) {
  expect_refused("GET /\r\n\r\n", 400);
  expect_refused("GET  HTTP/1.1\r\n\r\n", 400);
  expect_refused("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
  expect_refused("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400);
  expect_refused("GET path HTTP/1.1\r\nHost: a\r\n\r\n", 400);
  expect_refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505);
  expect_refused("GET / SPDY/1\r\nHost: a\r\n\r\n", 400);
}

TEST(RequestReaderTest, OverTheLimitsIsRefusedBeforeItIsComplete) {
  const Limits limits{.max_head_bytes = 100, .max_body_bytes = 10};
  RequestReader head(limits);
  head.feed("GET / HTTP/1.1\r\nLong: " + std::string(100, 'x'));
  EXPECT_FALSE(head.next().has_value());
  EXPECT_EQ(head.error()->status, 431);

  RequestReader declared(limits);
  declared.feed(get("Content-Length: 11\r\n"));
  EXPECT_FALSE(declared.next().has_value());
  EXPECT_EQ(declared.error()->status, 413);

  RequestReader chunked(limits);
  chunked.feed(get("Transfer-Encoding: chunked\r\n") + "6\r\nabcdef\r\n5\r\n");
  EXPECT_FALSE(chunked.next().has_value());
  EXPECT_FALSE(chunked.error().has_value());
  chunked.feed("ghijk");
  EXPECT_FALSE(chunked.next().has_value());
  EXPECT_EQ(chunked.error()->status, 413);
}

TEST(RequestReaderTest, KeepAliveFollowsVersionAndConnectionField) {
  const auto keeps = [](const std::string& bytes) {
    RequestReader reader{Limits()};
    reader.feed(bytes);
    EXPECT_TRUE(reader.next().has_value()) << bytes;
    return reader.keeps_alive();
  };
  EXPECT_TRUE(keeps(get()));
  EXPECT_FALSE(keeps(get("Connection: foo, Close\r\n")));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(RequestReaderTest, WhoWaitsForContinueIsSaidOnce) {
  RequestReader reader{Limits()};
  reader.feed(get("Expect: 100-continue\r\nContent-Length: 2\r\n"));
  EXPECT_FALSE(reader.next().has_value());
  EXPECT_TRUE(reader.take_wants_continue());
  EXPECT_FALSE(reader.take_wants_continue());
  reader.feed("ab");
  EXPECT_EQ(reader.next()->body, "ab");

  reader.feed(get("Expect: 100-continue\r\nContent-Length: 2\r\n") + "a");  // did not wait
  EXPECT_FALSE(reader.next().has_value());
  EXPECT_FALSE(reader.take_wants_continue());
}

TEST(RequestReaderTest, AnAbsoluteTargetLosesSchemeAndHostAndALeadingEmptyLineIsSkipped) {
  RequestReader reader{Limits()};
  reader.feed("\r\nGET http://host:1/path?q HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(reader.next()->target, "/path?q");
  reader.feed("GET https://host HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(reader.next()->target, "/");
}

/// All that a reader makes of an answer.
struct Answer {
  std::optional<ResponseHead> head;
  std::string body;
  bool is_complete = false;
  std::string error;
};

Answer read_answer(const std::string& bytes, size_t step, const std::string& method = "GET",
                   bool is_closed_after = false) {
  ResponseReader reader({.max_body_bytes = 1000});
  reader.expect(method);
  Answer answer;
  const auto take = [&](ResponseReader::Event event) {
    if (auto* head = std::get_if<ResponseHead>(&event)) answer.head = *head;
    if (auto* data = std::get_if<ResponseReader::Data>(&event)) answer.body += data->bytes;
    if (std::holds_alternative<ResponseReader::End>(event)) answer.is_complete = true;
    return !std::holds_alternative<std::monostate>(event);
  };
  for (size_t at = 0; at < bytes.size(); at += step) {
    reader.feed(std::string_view(bytes).substr(at, step));
    while (take(reader.next())) {
    }
  }
  if (is_closed_after && !answer.is_complete) take(reader.finish());
  if (reader.error()) answer.error = reader.error()->message;
  return answer;
}

TEST(ResponseReaderTest, AnswersOfEveryFramingAreReadHoweverTheyAreCut) {
  const std::string length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  const std::string chunks =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
  const std::string until_close = "HTTP/1.1 200\r\n\r\nhello";
  for (size_t step = 1; step < 60; ++step) {
    for (const auto& bytes : {length, chunks, until_close}) {
      const Answer answer = read_answer(bytes, step, "GET", true);
      EXPECT_TRUE(answer.is_complete) << answer.error;
      EXPECT_EQ(answer.head->status, 200);
      EXPECT_EQ(answer.body, "hello");
    }
  }
}

TEST(ResponseReaderTest, AnswersWithoutBodyEndAtOnce) {
  EXPECT_TRUE(read_answer("HTTP/1.1 204 No Content\r\n\r\n", 1).is_complete);
  EXPECT_TRUE(read_answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 1, "HEAD").is_complete);
  EXPECT_TRUE(read_answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1).is_complete);
}

TEST(ResponseReaderTest, AnAnswerThatIsCutOrMalformedIsAnError) {
  for (const char* bytes :
       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "HTTP/1.1 200 O",
        "HTTP/1.1 20 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n" /* and a body over the limit */}) {
    std::string text = bytes;
    if (text == "HTTP/1.1 200 OK\r\n\r\n") text += std::string(1001, 'x');
    const Answer answer = read_answer(text, 7, "GET", true);
    EXPECT_FALSE(answer.is_complete) << text;
    EXPECT_FALSE(answer.error.empty()) << text;
  }
}

TEST(WriteTest, AnAnswerIsFramedAsItsReaderCanRead) {
  for (const bool has_length : {false, true}) {
    ResponseHead head{.status = 200, .headers = {{"Content-Type", "text/plain"}}};
    if (has_length) head.headers.add("content-length", "5");
    std::string bytes;
    const Framing framing = write_response_head(bytes, head, false, false, true);
    EXPECT_EQ(framing.kind, has_length ? BodyReader::Kind::Length : BodyReader::Kind::Chunked);
    write_body(bytes, framing, "he");
    write_body(bytes, framing, "");
    write_body(bytes, framing, "llo");
    write_body_end(bytes, framing);
    const Answer answer = read_answer(bytes, 1);
    EXPECT_TRUE(answer.is_complete) << bytes;
    EXPECT_EQ(answer.body, "hello");
    EXPECT_EQ(answer.head->headers.get("Content-Type"), "text/plain");
  }
}

TEST(WriteTest, FieldsThatWouldBreakTheHeadAreLeftOut) {
  std::string bytes;
  write_response_head(bytes, {.status = 200, .headers = {{"A", "1\r\nInjected: 2"}, {"B C", "3"}}},
                      false, false, false);
  EXPECT_EQ(bytes, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
}

TEST(WriteTest, ARequestIsReadBackAsItWasWritten) {
  Request request;
  request.method = "PATCH";
  request.target = "/a?b=c";
  request.headers = {{"Accept", "application/json"}, {"Content-Length", "999"}};
  request.body = "body";
  std::string bytes;
  ASSERT_TRUE(write_request(bytes, request, "host:1").ok());
  RequestReader reader{Limits()};
  reader.feed(bytes);
  const auto read = reader.next();
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->method, "PATCH");
  EXPECT_EQ(read->target, "/a?b=c");
  EXPECT_EQ(read->body, "body");
  EXPECT_EQ(read->headers.get("Host"), "host:1");
  EXPECT_EQ(read->headers.get("Accept"), "application/json");
}

TEST(WriteTest, ARequestThatCannotBeSentIsRefused) {
  const auto write = [](const Request& request) {
    std::string out;
    return write_request(out, request, "host");
  };
  EXPECT_FALSE(write({.method = "GE T"}).ok());
  EXPECT_FALSE(write({.target = "/a b"}).ok());
  EXPECT_FALSE(write({.target = ""}).ok());
  EXPECT_FALSE(write({.target = "/", .headers = {{"A", "1\r\n"}}}).ok());
}

}  // namespace
}  // namespace pelton::net
