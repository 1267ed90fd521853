// SPDX-License-Identifier: Apache-2.0
// The codec against frames spelled byte by byte (RFC 6455, 5.7), and both ends together over every
// world.
#include "net/websocket.h"

#include "net/http_world.h"

namespace pelton::net {
namespace {

using base::Code;
using base::Duration;
using Role = WebSocketCodec::Role;
using namespace std::literals;

std::string zero_mask(size_t size) {
  return std::string(size, '\0');
}
WebSocketCodec make_server(size_t limit = 1 << 20) {
  return {Role::Server, limit, zero_mask};
}
std::vector<std::string> messages_of(WebSocketCodec& codec) {
  std::vector<std::string> out;
  WebSocketMessage message;
  while (codec.next(message)) out.push_back(message.bytes);
  return out;
}
const std::string kMaskedHello = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"s;

TEST(WebSocketCodecTest, TheMaskedHelloOfTheRfcIsReadInOnePieceAndByteByByte) {
  auto whole = make_server();
  whole.feed(kMaskedHello);
  EXPECT_EQ(messages_of(whole), std::vector<std::string>{"Hello"});
  auto bytewise = make_server();
  for (const char byte : kMaskedHello) bytewise.feed({&byte, 1});
  EXPECT_EQ(messages_of(bytewise), std::vector<std::string>{"Hello"});
}

TEST(WebSocketCodecTest, AServerSendsUnmaskedAndAClientMasked) {
  auto server = make_server();
  server.send("Hello", true);
  EXPECT_EQ(server.take_output(), "\x81\x05Hello");
  WebSocketCodec client(Role::Client, 100, [](size_t) { return "\x37\xfa\x21\x3d"s; });
  client.send("Hello", true);
  EXPECT_EQ(client.take_output(), kMaskedHello);
}

TEST(WebSocketCodecTest, FragmentsWithAPingBetweenThemAreOneMessageAndThePingIsAnswered) {
  WebSocketCodec client(Role::Client, 100, zero_mask);
  client.feed("\x02\x03Hel\x89\x01p\x80\x02lo"s);
  EXPECT_EQ(messages_of(client), std::vector<std::string>{"Hello"});
  EXPECT_EQ(client.take_output(), "\x8a\x81\0\0\0\0p"s);
}

TEST(WebSocketCodecTest, AnUnmaskedFrameFromAClientIsAProtocolError) {
  auto server = make_server();
  server.feed("\x81\x05Hello"s);
  EXPECT_TRUE(server.has_failed());
  EXPECT_TRUE(messages_of(server).empty());
  EXPECT_EQ(server.take_output().substr(0, 4), "\x88\x02\x03\xea"s);  // 1002
}

TEST(WebSocketCodecTest, AMessageOverTheLimitIsRefusedAlsoWhenItComesInFragments) {
  auto server = make_server(4);
  server.feed(kMaskedHello);
  EXPECT_TRUE(server.has_failed());
  EXPECT_EQ(server.take_output().substr(2, 2), "\x03\xf1"s);  // 1009
  auto fragmented = make_server(4);
  fragmented.feed("\x02\x83\0\0\0\0Hel\x80\x82\0\0\0\0lo"s);
  EXPECT_TRUE(fragmented.has_failed());
  EXPECT_TRUE(messages_of(fragmented).empty());
}

TEST(WebSocketCodecTest, TextThatIsNotUtf8AndReservedBitsAreRefused) {
  auto text = make_server();
  text.feed("\x81\x81\0\0\0\0\xff"s);
  EXPECT_TRUE(text.has_failed());
  auto reserved = make_server();
  reserved.feed("\xc2\x81\0\0\0\0x"s);
  EXPECT_TRUE(reserved.has_failed());
}

TEST(WebSocketCodecTest, ACloseIsAnsweredAndNothingIsSentOrReadAfterIt) {
  auto server = make_server();
  server.feed("\x88\x82\0\0\0\0\x03\xe8"s + kMaskedHello);
  EXPECT_TRUE(server.is_close_received());
  EXPECT_EQ(server.close_code(), WebSocketClose::Normal);
  server.send("late", false);
  EXPECT_EQ(server.take_output(), "\x88\x02\x03\xe8"s);
  EXPECT_TRUE(server.is_close_sent());
  EXPECT_TRUE(messages_of(server).empty());
}

Request offer_request() {
  Request request;
  request.headers = {{"Host", "x"}, {"Connection", "keep-alive, Upgrade"}};
  ask_for_websocket(request, {"dGhlIHNhbXBsZSBub25jZQ==", {"chat", "superchat"}});
  return request;
}

TEST(WebSocketHandshakeTest, TheSampleOfTheRfcIsAcceptedWithItsToken) {
  const auto offer = read_websocket_offer(offer_request());
  ASSERT_TRUE(offer.ok()) << offer.status().to_string();
  EXPECT_EQ(offer->protocols, (std::vector<std::string>{"chat", "superchat"}));
  const ResponseHead head = accept_websocket(*offer, "chat");
  EXPECT_EQ(head.status, 101);
  EXPECT_EQ(head.headers.get("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(*read_websocket_answer(head, *offer), "chat");
}

TEST(WebSocketHandshakeTest, EachThingThatIsMissingIsNamed) {
  const auto error = [](const std::string& name, const std::string& value) {
    Request request;
    request.headers = {{"Connection", name == "Connection" ? value : "Upgrade"},
                       {"Upgrade", name == "Upgrade" ? value : "websocket"},
                       {"Sec-WebSocket-Version", name == "Version" ? value : "13"},
                       {"Sec-WebSocket-Key", name == "Key" ? value : "dGhlIHNhbXBsZSBub25jZQ=="}};
    return read_websocket_offer(request).status().message();
  };
  EXPECT_EQ(error("", ""), "");
  EXPECT_NE(error("Connection", "close").find("Connection: Upgrade"), std::string::npos);
  EXPECT_NE(error("Upgrade", "SPDY/3.1").find("Upgrade: websocket"), std::string::npos);
  EXPECT_NE(error("Version", "8").find("Sec-WebSocket-Version"), std::string::npos);
  EXPECT_NE(error("Key", "dGhl").find("Sec-WebSocket-Key"), std::string::npos);
}

TEST(WebSocketHandshakeTest, AnAnswerToAnotherKeyOrWithAForeignProtocolIsNotBelieved) {
  const WebSocketOffer offer{"dGhlIHNhbXBsZSBub25jZQ==", {"chat"}};
  const WebSocketOffer other{"AAAAAAAAAAAAAAAAAAAAAA==", {"chat"}};
  EXPECT_FALSE(read_websocket_answer(accept_websocket(other, "chat"), offer).ok());
  EXPECT_FALSE(read_websocket_answer(accept_websocket(offer, "talk"), offer).ok());
  EXPECT_EQ(*read_websocket_answer(accept_websocket(offer, ""), offer), "");
}

/// One end, and what it was told.
struct End {
  std::unique_ptr<WebSocket> socket;
  std::string received;
  std::optional<WebSocketEnd> end;
  bool goes_with_first_message = false;
};

class WebSocketTest : public HttpWorldTest {
 protected:
  WebSocketEvents events(End& end, bool is_echoing = false) {
    return {.on_message =
                [&end, is_echoing](std::string_view bytes, bool is_text) {
                  end.received += bytes;
                  if (end.goes_with_first_message) return end.socket.reset();
                  if (is_echoing) end.socket->send(bytes, is_text);
                },
            .on_end = [&end](const WebSocketEnd& told) { end.end = told; }};
  }
  void open(bool is_echoing, WebSocketOptions options = {}, WebSocketOptions of_client = {}) {
    serve([this, is_echoing, options](const Request& request, const ResponseSinkPtr& sink) {
      const auto offer = read_websocket_offer(request);
      if (!offer.ok()) return sink->respond(400, "text/plain", offer.status().message());
      server_end_.socket = std::make_unique<WebSocket>(
          world().timers, world().random, sink->switch_protocols(accept_websocket(*offer, "chat")),
          Role::Server, events(server_end_, is_echoing), options);
    });
    dial_socket(of_client);
    ASSERT_TRUE(run_until([&] { return client_end_.socket != nullptr; }));
  }
  void dial_socket(WebSocketOptions options = {}) {
    Request request;
    request.target = "/exec";
    const WebSocketOffer offer{base::base64_encode(world().random.bytes(16)), {"chat"}};
    ask_for_websocket(request, offer);
    exchange_ = client_->send(
        endpoint(), request,
        {.on_head = [](const ResponseHead&) { ADD_FAILURE() << "answered instead of switched"; },
         .on_data = {},
         .on_end = [](const base::Status& s) { ADD_FAILURE() << s.to_string(); },
         .on_switch =
             [this, offer, options](const ResponseHead& head,
                                    std::unique_ptr<world::Connection> connection) {
               EXPECT_EQ(*read_websocket_answer(head, offer), "chat");
               client_end_.socket = std::make_unique<WebSocket>(world().timers, world().random,
                                                                std::move(connection), Role::Client,
                                                                events(client_end_), options);
             }});
  }
  ~WebSocketTest() override {
    client_end_.socket.reset();
    server_end_.socket.reset();
    exchange_.reset();
  }
  End server_end_, client_end_;
  std::unique_ptr<Exchange> exchange_;
};
INSTANTIATE_TEST_SUITE_P(, WebSocketTest, all_worlds(), world_name);

TEST_P(WebSocketTest, MessagesGoBothWaysAndTheCloseIsAgreedUpon) {
  open(true);
  exchange_.reset();  // the connection is not the exchange's any more
  std::string sent;
  for (int i = 0; i < 100; ++i) {
    const std::string message = std::string(static_cast<size_t>(i) * 700, 'a') + "\n";
    client_end_.socket->send(message);
    sent += message;
  }
  ASSERT_TRUE(run_until([&] { return client_end_.received.size() == sent.size(); }));
  EXPECT_TRUE(client_end_.received == sent);
  client_end_.socket->close();
  ASSERT_TRUE(run_until([&] { return client_end_.end && server_end_.end; }));
  EXPECT_TRUE(client_end_.end->status.ok()) << client_end_.end->status.to_string();
  EXPECT_TRUE(server_end_.end->status.ok()) << server_end_.end->status.to_string();
  EXPECT_EQ(server_end_.end->code, WebSocketClose::Normal);
  ASSERT_TRUE(run_until([&] { return server_->connection_count() == 0; }));
  EXPECT_EQ(client_->connection_count(), 0u);
}

TEST_P(WebSocketTest, AReaderWhoPausesHoldsTheSenderBack) {
  open(false);
  server_end_.socket->pause_reading();
  const std::string piece(64 * 1024, 'x');
  for (int i = 0; i < 512; ++i) client_end_.socket->send(piece);
  settle();
  settle();
  EXPECT_GT(client_end_.socket->queued_bytes(), 1u << 20) << "nobody was held back";
  EXPECT_LT(server_end_.received.size(), 1u << 20);
  server_end_.socket->resume_reading();
  ASSERT_TRUE(run_until([&] { return server_end_.received.size() == 512 * piece.size(); }));
  EXPECT_EQ(client_end_.socket->queued_bytes(), 0u);
}

TEST_P(WebSocketTest, ASilentPeerIsGivenUpAndOneThatOnlyAnswersPingsIsNot) {
  const WebSocketOptions options{.ping_interval = Duration::milliseconds(50),
                                 .silence_limit = Duration::milliseconds(500)};
  open(false, options, {.ping_interval = Duration()});
  bool is_over = false;
  world::Timer later(world().timers);
  later.start(Duration::seconds(2), [&] { is_over = true; });
  ASSERT_TRUE(run_until([&] { return is_over; }));
  EXPECT_FALSE(server_end_.end || client_end_.end);  // pings were answered all the while
  client_end_.socket->pause_reading();               // it now answers none
  ASSERT_TRUE(run_until([&] { return server_end_.end.has_value(); }));
  EXPECT_EQ(server_end_.end->status.code(), Code::Unavailable);
}

TEST_P(WebSocketTest, AConnectionThatIsCutIsNotAClose) {
  open(false);
  client_end_.socket.reset();
  ASSERT_TRUE(run_until([&] { return server_end_.end.has_value(); }));
  EXPECT_EQ(server_end_.end->status.code(), Code::Unavailable);
  EXPECT_EQ(client_->connection_count(), 0u);
}

TEST_P(WebSocketTest, AServerThatStopsTellsBothEnds) {
  open(false);
  bool is_stopped = false;
  server_->stop(Duration::milliseconds(10), [&] { is_stopped = true; });
  ASSERT_TRUE(run_until([&] { return server_end_.end.has_value(); }));
  EXPECT_EQ(server_end_.end->status.code(), Code::Unavailable);
  ASSERT_TRUE(run_until([&] { return is_stopped && client_end_.end.has_value(); }));
}

TEST_P(WebSocketTest, ASocketMayBeDestroyedByItsOwnMessage) {
  open(true);
  client_end_.goes_with_first_message = true;
  server_end_.socket->send("one");
  server_end_.socket->send("two");
  ASSERT_TRUE(run_until([&] { return server_end_.end.has_value(); }));
  EXPECT_EQ(client_end_.received, "one");
  EXPECT_FALSE(client_end_.end.has_value());
}

TEST_P(WebSocketTest, BytesThatCameWithTheRequestAreNotLost) {
  std::unique_ptr<world::Connection> stream;
  std::string early;
  serve([&](const Request&, const ResponseSinkPtr& sink) {
    stream = sink->switch_protocols({.status = 101, .headers = {{"Upgrade", "echo"}}});
    stream->start({.on_data = [&](std::string_view bytes) { early += bytes; },
                   .on_end = [](const base::Status&) {},
                   .on_drained = {}});
  });
  if (GetParam().has_tls) return;  // the bytes are written by hand
  std::string received;
  bool has_ended = false;
  const auto peer = dial(received, has_ended);
  peer->send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly ");
  ASSERT_TRUE(run_until([&] { return early == "early "; }));
  peer->send("late");
  ASSERT_TRUE(run_until([&] { return early == "early late"; }));
  EXPECT_EQ(received.substr(0, 34), "HTTP/1.1 101 Switching Protocols\r\n");
  EXPECT_NE(received.find("Connection: Upgrade\r\n"), std::string::npos) << received;
  EXPECT_EQ(received.find("Transfer-Encoding"), std::string::npos) << received;
}

TEST_P(WebSocketTest, AClientThatDidNotAskIsNotSwitched) {
  serve([](const Request&, const ResponseSinkPtr& sink) {
    sink->switch_protocols({.status = 101, .headers = {{"Upgrade", "websocket"}}}).reset();
  });
  const auto told = get("/");
  ASSERT_TRUE(run_until([&] { return told->end.has_value(); }));
  EXPECT_EQ(told->end->code(), Code::Unavailable);
}

}  // namespace
}  // namespace pelton::net
