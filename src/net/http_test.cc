// SPDX-License-Identifier: Apache-2.0
// Server and client together, over every world.
#include <stdlib.h>

#include <algorithm>
#include <deque>

#include "net/http_world.h"

namespace pelton::net {
namespace {

using base::Code;
using base::Duration;

/// Answers with what was asked.
void echo(Request request, const ResponseSinkPtr& sink) {
  sink->respond(
      200, "text/plain",
      request.method + " " + request.target + " " + request.identity.name + " " + request.body);
}

class HttpTest : public HttpWorldTest {
 protected:
  std::string identity() const { return GetParam().has_tls ? "admin" : ""; }
};
INSTANTIATE_TEST_SUITE_P(, HttpTest, all_worlds(), world_name);

TEST_P(HttpTest, ARequestIsAnsweredAndTheConnectionIsKept) {
  serve(echo);
  for (int i = 0; i < 5; ++i) {
    const auto told = send({.method = "POST", .target = "/a?b", .headers = {}, .body = "body"});
    EXPECT_FALSE(told->end.has_value());
    expect_ok(told);
    EXPECT_EQ(told->head->status, 200);
    EXPECT_EQ(told->body, "POST /a?b " + identity() + " body");
  }
  EXPECT_EQ(client_->connection_count(), 1u);
  EXPECT_EQ(server_->connection_count(), 1u);
}

TEST_P(HttpTest, ManyRequestsAtOnceEachGetTheirOwnAnswer) {
  serve(echo);
  make_client({.max_idle_per_endpoint = 4, .max_connections_per_endpoint = 16});
  std::vector<std::shared_ptr<Told>> all;
  for (int i = 0; i < 200; ++i) all.push_back(get("/" + std::to_string(i)));
  ASSERT_TRUE(run_until([&] {
    return std::all_of(all.begin(), all.end(), [](const auto& t) { return t->end.has_value(); });
  }));
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(all[static_cast<size_t>(i)]->body,
              "GET /" + std::to_string(i) + " " + identity() + " ");
  }
  EXPECT_LE(client_->connection_count(), 4u);
}

TEST_P(HttpTest, LargeBodiesPassBothWays) {
  serve([](Request request, const ResponseSinkPtr& sink) {
    sink->respond(200, "text/plain", request.body);
  });
  const std::string body(3 << 20, 'x');
  const auto told = send({.method = "PUT", .target = "/", .headers = {}, .body = body});
  expect_ok(told);
  EXPECT_EQ(told->body, body);
}

TEST_P(HttpTest, ABodyOverTheLimitIsA413) {
  serve(echo);
  const auto told =
      send({.method = "POST", .target = "/", .headers = {}, .body = std::string(4 << 20, 'x')});
  expect_ok(told);
  EXPECT_EQ(told->head->status, 413);
}

TEST_P(HttpTest, AStreamIsDeliveredAsItIsWrittenAndItsEndIsTold) {
  ResponseSinkPtr stream;
  serve([&](Request, ResponseSinkPtr sink) {
    sink->head({.status = 200, .headers = {{"Content-Type", "application/json"}}});
    stream = std::move(sink);
  });
  const auto told = get("/watch");
  ASSERT_TRUE(run_until([&] { return told->head.has_value(); }));
  stream->write("one");
  ASSERT_TRUE(run_until([&] { return told->body == "one"; }));
  stream->write("two");
  ASSERT_TRUE(run_until([&] { return told->body == "onetwo"; }));
  stream->end();
  expect_ok(told);
  EXPECT_FALSE(stream->is_gone());
}

TEST_P(HttpTest, AbandoningAnExchangeTellsTheServersHandler) {
  ResponseSinkPtr stream;
  bool is_gone = false;
  serve([&](Request, ResponseSinkPtr sink) {
    sink->head({});
    sink->on_gone([&] { is_gone = true; });
    stream = std::move(sink);
  });
  auto told = get("/watch");
  ASSERT_TRUE(run_until([&] { return told->head.has_value(); }));
  told->exchange.reset();
  ASSERT_TRUE(run_until([&] { return is_gone; }));
  EXPECT_TRUE(stream->is_gone());
  stream->write("nobody hears this");
  stream->end();
  EXPECT_FALSE(told->end.has_value());
  EXPECT_EQ(client_->connection_count(), 0u);
}

TEST_P(HttpTest, AnExchangeMayBeAbandonedWithinItsOwnEventsAndBeforeItIsConnected) {
  serve([](Request, const ResponseSinkPtr& sink) {
    sink->head({});
    sink->write("x");
    sink->end();
  });
  get("/")->exchange.reset();
  int heads = 0, data = 0;
  std::unique_ptr<Exchange> first, second;
  first = client_->send(endpoint(), {.target = "/"},
                        {.on_head =
                             [&](const ResponseHead&) {
                               ++heads;
                               first.reset();
                             },
                         .on_data = [&](std::string_view) { FAIL(); },
                         .on_end = [&](base::Status) { FAIL(); }});
  second = client_->send(endpoint(), {.target = "/"},
                         {.on_head = {},
                          .on_data =
                              [&](std::string_view) {
                                ++data;
                                second.reset();
                              },
                          .on_end = [&](base::Status) { FAIL(); }});
  ASSERT_TRUE(run_until([&] { return heads == 1 && data == 1; }));
  expect_ok(get("/"));
}

TEST_P(HttpTest, TheClientMayBeDestroyedWithinAnEvent) {
  serve(echo);
  bool is_over = false;
  const auto other = get("/other");
  const auto exchange = client_->send(endpoint(), {.target = "/"},
                                      {.on_head =
                                           [&](const ResponseHead&) {
                                             client_.reset();
                                             is_over = true;
                                           },
                                       .on_data = {},
                                       .on_end = [&](base::Status) { FAIL(); }});
  ASSERT_TRUE(run_until([&] { return is_over; }));
  settle();
}

TEST_P(HttpTest, AHandlerThatForgetsItsSinkGivesA500AndACutStreamIsAnError) {
  serve([](const Request& request, const ResponseSinkPtr& sink) {
    if (request.target == "/stream") {
      sink->head({});
      sink->write("begun");
    }
  });
  const auto forgotten = get("/");
  expect_ok(forgotten);
  EXPECT_EQ(forgotten->head->status, 500);
  const auto cut = get("/stream");
  ASSERT_TRUE(run_until([&] { return cut->end.has_value(); }));
  EXPECT_EQ(cut->end->code(), Code::Unavailable);
}

TEST_P(HttpTest, AnAnswerShorterThanDeclaredIsAnErrorAndALongerOneIsTruncated) {
  serve([](const Request& request, const ResponseSinkPtr& sink) {
    sink->head({.status = 200, .headers = {{"Content-Length", "5"}}});
    sink->write(request.target == "/short" ? "abc" : "abcdefgh");
    sink->end();
  });
  const auto cut = get("/short");
  ASSERT_TRUE(run_until([&] { return cut->end.has_value(); }));
  EXPECT_EQ(cut->end->code(), Code::Unavailable);
  const auto truncated = get("/long");
  expect_ok(truncated);
  EXPECT_EQ(truncated->body, "abcde");
}

TEST_P(HttpTest, HeadHasNoBodyAndTheConnectionGoesOn) {
  serve(echo);
  const auto head = send({.method = "HEAD", .target = "/"});
  expect_ok(head);
  EXPECT_EQ(head->body, "");
  EXPECT_NE(head->head->headers.get("Content-Length"), "");
  expect_ok(get("/"));
  EXPECT_EQ(client_->connection_count(), 1u);
}

TEST_P(HttpTest, NobodyListeningIsUnavailableEvenForAPost) {
  serve(echo);
  server_.reset();
  const auto told = send({.method = "POST", .target = "/x", .headers = {}, .body = "y"});
  ASSERT_TRUE(run_until([&] { return told->end.has_value(); }));
  EXPECT_EQ(told->end->code(), Code::Unavailable);
  EXPECT_NE(told->end->message().find("POST /x at " + address_.to_string()), std::string::npos)
      << told->end->message();
}

TEST_P(HttpTest, AServerThatDiesWithARequestInItsHandsLeavesAPostUnknownAndAGetUnavailable) {
  std::vector<ResponseSinkPtr> held;
  serve([&](Request, ResponseSinkPtr sink) { held.push_back(std::move(sink)); });
  const auto post = send({.method = "POST", .target = "/", .headers = {}, .body = "x"});
  const auto read = get("/");
  ASSERT_TRUE(run_until([&] { return held.size() == 2; }));
  server_.reset();
  EXPECT_TRUE(held[0]->is_gone());
  ASSERT_TRUE(run_until([&] { return post->end && read->end; }));
  EXPECT_EQ(post->end->code(), Code::OutcomeUnknown);
  EXPECT_EQ(read->end->code(), Code::Unavailable);
  held[0]->respond(200, "text/plain", "late");
}

TEST_P(HttpTest, AKeptConnectionThatTheServerClosedIsReplacedWithoutAnError) {
  serve(echo);
  expect_ok(get("/1"));
  // A server on the same address that has forgotten the client's connection.
  server_.reset();
  server_ = std::make_unique<HttpServer>(world().network, world().timers,
                                         GetParam().has_tls ? pki().server_context() : nullptr,
                                         echo, HttpServerOptions());
  ASSERT_TRUE(server_->listen(address_).ok());
  const auto told = get("/2");  // before the client could see the old connection end
  expect_ok(told);
  EXPECT_EQ(told->body, "GET /2 " + identity() + " ");
}

TEST_P(HttpTest, NoAnswerInTimeIsUnknownForAPostAndFreesTheConnection) {
  std::vector<ResponseSinkPtr> held;
  serve([&](Request, ResponseSinkPtr sink) { held.push_back(std::move(sink)); });
  make_client({.head_timeout = Duration::milliseconds(500)});  // also on a busy machine
  const auto post = send({.method = "POST", .target = "/", .headers = {}, .body = "x"});
  const auto read = get("/");
  ASSERT_TRUE(run_until([&] { return post->end && read->end; }));
  EXPECT_EQ(post->end->code(), Code::OutcomeUnknown);
  EXPECT_EQ(read->end->code(), Code::Unavailable);
  EXPECT_EQ(client_->connection_count(), 0u);
}

TEST_P(HttpTest, ARequestThatCannotBeSentIsToldLater) {
  serve(echo);
  const auto told = get("/a b");
  EXPECT_FALSE(told->end.has_value());
  ASSERT_TRUE(run_until([&] { return told->end.has_value(); }));
  EXPECT_EQ(told->end->code(), Code::InvalidArgument);
}

TEST_P(HttpTest, IdleConnectionsEndOnBothSides) {
  HttpServerOptions options;
  options.idle_timeout = Duration::milliseconds(50);
  serve(echo, options);
  expect_ok(get("/"));
  EXPECT_TRUE(run_until(
      [&] { return server_->connection_count() == 0 && client_->connection_count() == 0; }));
  serve(echo);
  make_client({.idle_timeout = Duration::milliseconds(50)});
  expect_ok(get("/"));
  EXPECT_TRUE(run_until(
      [&] { return server_->connection_count() == 0 && client_->connection_count() == 0; }));
}

TEST_P(HttpTest, StopLetsAnswersEndAndThenCutsStreams) {
  std::deque<ResponseSinkPtr> held;
  int gone = 0;
  serve([&](Request, ResponseSinkPtr sink) {
    sink->on_gone([&] { ++gone; });
    held.push_back(std::move(sink));
  });
  const auto idle = get("/idle");
  ASSERT_TRUE(run_until([&] { return held.size() == 1; }));
  held.front()->respond(200, "text/plain", "");
  held.pop_front();
  expect_ok(idle);
  const auto answered = get("/answered");
  const auto cut = get("/cut");
  ASSERT_TRUE(run_until([&] { return held.size() == 2; }));
  bool is_stopped = false;
  server_->stop(Duration::seconds(1), [&] { is_stopped = true; });
  held.front()->respond(200, "text/plain", "done");
  expect_ok(answered);
  EXPECT_EQ(answered->body, "done");
  EXPECT_EQ(answered->head->headers.get("Connection"), "close");
  EXPECT_FALSE(is_stopped);
  ASSERT_TRUE(run_until([&] { return is_stopped && cut->end.has_value(); }));
  EXPECT_EQ(gone, 1);
  EXPECT_EQ(cut->end->code(), Code::Unavailable);
}

TEST_P(HttpTest, StopWithoutConnectionsEndsAtOnce) {
  serve(echo);
  bool is_stopped = false;
  server_->stop(Duration::hours(1), [&] { is_stopped = true; });
  EXPECT_FALSE(is_stopped);
  EXPECT_TRUE(run_until([&] { return is_stopped; }));
}

/// Peers that are no good clients. Bare bytes, so without TLS.
class RawHttpTest : public HttpTest {};
INSTANTIATE_TEST_SUITE_P(, RawHttpTest,
                         ::testing::Values(HttpWorldKind{false, false}, HttpWorldKind{true, false}),
                         world_name);

TEST_P(RawHttpTest, PipelinedRequestsAreAnsweredInOrderThoughHandlersAnswerLater) {
  std::deque<std::pair<std::string, ResponseSinkPtr>> held;
  serve([&](const Request& request, ResponseSinkPtr sink) {
    held.emplace_back(request.target, std::move(sink));
  });
  std::string received;
  bool has_ended = false;
  const auto peer = dial(received, has_ended);
  std::string bytes;
  for (const char* target : {"/1", "/2", "/3"}) {
    bytes += std::string("GET ") + target + " HTTP/1.1\r\nHost: a\r\n\r\n";
  }
  peer->send(bytes);
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(run_until([&] { return !held.empty(); }));
    ASSERT_EQ(held.size(), 1u);  // one at a time
    const auto [target, sink] = std::move(held.front());
    held.pop_front();
    sink->respond(200, "text/plain", target);
  }
  ASSERT_TRUE(run_until([&] { return received.ends_with("/3"); }));
  EXPECT_LT(received.find("\r\n\r\n/1"), received.find("\r\n\r\n/2"));
}

TEST_P(RawHttpTest, AMalformedRequestGetsA400AndTheEnd) {
  serve(echo);
  std::string received;
  bool has_ended = false;
  const auto peer = dial(received, has_ended);
  peer->send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return has_ended; }));
  EXPECT_TRUE(received.starts_with("HTTP/1.1 400 Bad Request\r\n")) << received;
  EXPECT_NE(received.find("Connection: close"), std::string::npos);
}

TEST_P(RawHttpTest, AHeadThatTricklesInIsCutHoweverOftenABytesComes) {
  HttpServerOptions options;
  options.head_timeout = Duration::milliseconds(100);
  serve(echo, options);
  std::string received;
  bool has_ended = false;
  const auto peer = dial(received, has_ended);
  world::Timer timer(world().timers);
  std::function<void()> trickle = [&] {
    peer->send("x");
    timer.start(Duration::milliseconds(5), trickle);
  };
  peer->send("GET / HTTP/1.1\r\nHost: a\r\nLong: ");
  trickle();
  ASSERT_TRUE(run_until([&] { return has_ended; }));
  EXPECT_TRUE(received.starts_with("HTTP/1.1 408 ")) << received;
}

TEST_P(RawHttpTest, APeerThatSaysNothingIsCut) {
  HttpServerOptions options;
  options.head_timeout = Duration::milliseconds(50);
  serve(echo, options);
  std::string received;
  bool has_ended = false;
  const auto peer = dial(received, has_ended);
  ASSERT_TRUE(run_until([&] { return has_ended; }));
}

TEST_P(RawHttpTest, WhoWaitsForContinueIsToldToGoOn) {
  serve(echo);
  std::string received;
  bool has_ended = false;
  const auto peer = dial(received, has_ended);
  peer->send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return received == "HTTP/1.1 100 Continue\r\n\r\n"; }));
  peer->send("ok");
  ASSERT_TRUE(run_until([&] { return received.ends_with("PUT /  ok"); }));
}

TEST_P(RawHttpTest, AnHttp10PeerGetsABodyThatEndsWithTheConnection) {
  serve([](Request, const ResponseSinkPtr& sink) {
    sink->head({});
    sink->write("streamed");
    sink->end();
  });
  std::string received;
  bool has_ended = false;
  const auto peer = dial(received, has_ended);
  peer->send("GET / HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return has_ended; }));
  EXPECT_TRUE(received.ends_with("\r\n\r\nstreamed")) << received;
}

TEST_P(RawHttpTest, ConnectionsBeyondTheLimitAreClosed) {
  HttpServerOptions options;
  options.max_connections = 1;
  serve(echo, options);
  std::string received;
  bool has_first_ended = false, has_second_ended = false;
  const auto first = dial(received, has_first_ended);
  const auto second = dial(received, has_second_ended);
  ASSERT_TRUE(run_until([&] { return has_second_ended; }));
  EXPECT_FALSE(has_first_ended);
}

TEST_P(RawHttpTest, AClientMeetingWhatIsNotHttpSaysSo) {
  std::unique_ptr<world::Connection> kept;
  const auto listener = world().network.listen({"127.0.0.1", 0}, [&](auto connection) {
    kept = std::move(connection);
    kept->start({});
    kept->send("SSH-2.0-OpenSSH\r\n\r\n");
  });
  address_ = listener.value()->address();
  make_client();
  const auto told = get("/");
  ASSERT_TRUE(run_until([&] { return told->end.has_value(); }));
  EXPECT_EQ(told->end->code(), Code::Unavailable);
  EXPECT_FALSE(told->head.has_value());
}

/// Where the network's queue is finite: the simulated one takes everything.
class RealHttpTest : public HttpTest {};
INSTANTIATE_TEST_SUITE_P(, RealHttpTest, ::testing::Values(HttpWorldKind{false, false}),
                         world_name);

TEST_P(RealHttpTest, ASlowReaderIsSeenAsBacklogAndThenCut) {
  ResponseSinkPtr stream;
  bool is_gone = false;
  HttpServerOptions options;
  options.send_timeout = Duration::milliseconds(100);
  serve(
      [&](Request, ResponseSinkPtr sink) {
        sink->head({});
        sink->on_gone([&] { is_gone = true; });
        stream = std::move(sink);
      },
      options);
  std::string received;
  bool has_ended = false;
  const auto peer = dial(received, has_ended);
  peer->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return stream && !received.empty(); }));
  peer->pause_reading();
  for (int i = 0; i < 32; ++i) stream->write(std::string(1 << 20, 'x'));
  EXPECT_GT(stream->backlog(), 1u << 20);
  ASSERT_TRUE(run_until([&] { return is_gone; }));
}

/// Only over TLS.
class TlsHttpTest : public HttpTest {};
INSTANTIATE_TEST_SUITE_P(, TlsHttpTest,
                         ::testing::Values(HttpWorldKind{false, true}, HttpWorldKind{true, true}),
                         world_name);

TEST_P(TlsHttpTest, APeerWithoutCertificateIsAnsweredAsNobody) {
  serve(echo);
  tls_ = pki().client_context(false);
  const auto told = get("/");
  expect_ok(told);
  EXPECT_EQ(told->body, "GET /  ");
}

TEST_P(TlsHttpTest, ACertificateThatIsNotAcceptedIsToldAsSuch) {
  serve(echo);
  tls_ =
      TlsContext::client({.ca_pem = pki().authority.certificate_pem, .credential = pki().stranger})
          .value();
  const auto told = send({.method = "POST", .target = "/"});
  ASSERT_TRUE(run_until([&] { return told->end.has_value(); }));
  EXPECT_EQ(told->end->code(), Code::Unauthenticated) << told->end->to_string();
}

TEST_P(TlsHttpTest, AServerThatIsNotTheOneCalledGetsNoRequest) {
  int requests = 0;
  serve([&](Request, const ResponseSinkPtr& sink) {
    ++requests;
    sink->respond(200, "text/plain", "");
  });
  auto wrong = endpoint();
  wrong.server_name = "elsewhere";
  std::optional<base::Status> end;
  const auto exchange =
      client_->send(wrong, {.method = "POST", .target = "/"},
                    {.on_head = {}, .on_data = {}, .on_end = [&](base::Status s) { end = s; }});
  ASSERT_TRUE(run_until([&] { return end.has_value(); }));
  EXPECT_EQ(end->code(), Code::Unauthenticated);
  EXPECT_EQ(requests, 0);
}

TEST_P(TlsHttpTest, APeerThatSpeaksPlainHttpToTlsIsCut) {
  serve(echo);
  std::string received;
  bool has_ended = false;
  const auto peer = dial(received, has_ended);
  peer->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return has_ended; }));
  EXPECT_EQ(server_->connection_count(), 0u);
}

/// Clients that we did not write.
class ForeignClientTest : public HttpTest {
 protected:
  void SetUp() override {
    char path[] = "/tmp/pelton-test-XXXXXX";
    directory_ = ::mkdtemp(path);
    put("ca.crt", pki().authority.certificate_pem);
    put("client.crt", pki().client.certificate_pem);
    put("client.key", pki().client.key_pem);
    serve(echo);
  }
  void TearDown() override { world().files.remove_tree(directory_).ignore("a test's directory"); }
  void put(const std::string& name, const std::string& text) {
    ASSERT_TRUE(world().files.replace(directory_ + "/" + name, text).ok());
  }
  /// Runs a shell script in the directory; its output, or nullopt where the tool is missing.
  std::optional<std::string> run_script(const std::string& tool, const std::string& script) {
    std::optional<int> code;
    std::string output;
    world::ProcessSpec spec;
    spec.argv = {"/bin/sh", "-c", "command -v " + tool + " >/dev/null || exit 99; " + script};
    spec.inherit_env = true;
    spec.working_directory = directory_;
    world().processes.run(spec, [&](base::Result<world::ExitState> exit, std::string text) {
      code = exit.ok() ? exit.value().shell_code() : -1;
      output = std::move(text);
    });
    EXPECT_TRUE(run_until([&] { return code.has_value(); })) << script;
    if (code == 99) return std::nullopt;
    return output;
  }
  std::string url() const { return "https://localhost:" + std::to_string(address_.port); }
  std::string directory_;
};
INSTANTIATE_TEST_SUITE_P(, ForeignClientTest, ::testing::Values(HttpWorldKind{false, true}),
                         world_name);

TEST_P(ForeignClientTest, CurlPostsWithItsCertificateAndReusesItsConnection) {
  const auto output =
      run_script("curl",
                 "curl -sS --noproxy '*' --cacert ca.crt --cert client.crt --key client.key "
                 "-d body -w '|%{http_code}|%{num_connects}|' " +
                     url() + "/1 " + url() + "/2");
  if (!output) GTEST_SKIP() << "curl is not installed";
  EXPECT_EQ(*output, "POST /1 admin body|200|1|POST /2 admin body|200|0|");
}

TEST_P(ForeignClientTest, CurlSendsChunkedAndLargeBodiesAfterAskingToContinue) {
  const auto output =
      run_script("curl",
                 "head -c 2000000 /dev/zero | tr '\\0' x | curl -sS --noproxy '*' --cacert ca.crt "
                 "-H 'Transfer-Encoding: chunked' -T - " +
                     url() + "/ | wc -c");
  if (!output) GTEST_SKIP() << "curl is not installed";
  EXPECT_EQ(base::trim(*output), std::to_string(2'000'000 + std::string("PUT /  ").size()));
}

TEST_P(ForeignClientTest, OpensslSpeaksBothVersionsOfTlsAndResumes) {
  const std::string connect =
      "openssl s_client -connect 127.0.0.1:" + std::to_string(address_.port) +
      " -CAfile ca.crt -cert client.crt -key client.key"
      " -verify_return_error -servername localhost ";
  const std::string request =
      "printf 'GET /x HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n' | ";
  for (const char* version : {"-tls1_2", "-tls1_3"}) {
    const auto output =
        run_script("openssl", "(" + request + connect + version + " -ign_eof -sess_out session; " +
                                  request + connect + version + " -ign_eof -sess_in session) 2>&1");
    if (!output) GTEST_SKIP() << "openssl is not installed";
    EXPECT_NE(output->find("GET /x admin"), std::string::npos) << *output;
    EXPECT_NE(output->find("Reused, TLSv1"), std::string::npos) << *output;
  }
  const auto old = run_script("openssl", connect + "-tls1_1 </dev/null 2>&1");
  EXPECT_NE(old->find("no peer certificate available"), std::string::npos) << *old;
}

}  // namespace
}  // namespace pelton::net
