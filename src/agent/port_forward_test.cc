// SPDX-License-Identifier: Apache-2.0
// A client that speaks as kubectl does, a port forward, and a server that plays the pod's.
#include "agent/port_forward.h"

#include <gtest/gtest.h>

#include "sim/sim_world.h"

namespace pelton::agent {
namespace {

using Kind = net::SpdyFrame::Kind;

class PortForwardTest : public ::testing::Test {
 protected:
  void SetUp() override {
    pod_listener_ = listen([this](auto connection) {
      pod_ = std::move(connection);
      pod_->start({.on_data = [this](std::string_view bytes) { pod_heard_ += bytes; },
                   .on_end = [this](const base::Status&) { has_client_ended_ = true; },
                   .on_drained = {}});
    });
    front_listener_ = listen([this](auto connection) {
      session_ = std::make_unique<PortForwardSession>(
          world_, PortForwardSession::Target{"web", "uid-web", ""}, [this] { session_.reset(); });
      session_->start(std::move(connection));
    });
    world_.network.connect(
        front_listener_->address(), base::Duration::seconds(5), [this](auto connection) {
          socket_ = std::make_unique<net::WebSocket>(
              world_.timers, world_.random, std::move(connection).value(),
              net::WebSocket::Role::Client,
              net::WebSocketEvents{
                  .on_message = [this](std::string_view bytes, bool) { on_message(bytes); },
                  .on_end = [this](const net::WebSocketEnd& end) { end_ = end; }});
        });
    run_until([this] { return socket_ && session_; });
  }
  std::unique_ptr<world::Listener> listen(
      std::function<void(std::unique_ptr<world::Connection>)> on_accept) {
    return world_.network.listen({"127.0.0.1", 0}, std::move(on_accept)).value();
  }
  void on_message(std::string_view bytes) {
    codec_.feed(bytes);
    net::SpdyFrame frame;
    while (codec_.next(frame)) {
      if (frame.kind == Kind::Reply) replied_.push_back(frame.stream);
      if (frame.kind == Kind::Reset) reset_.push_back(frame.stream);
      if (frame.kind == Kind::Data) heard_[frame.stream] += frame.bytes;
      if (frame.kind == Kind::Data && frame.is_last) ended_.push_back(frame.stream);
    }
    EXPECT_EQ(codec_.error(), "");
  }
  void run_until(const std::function<bool()>& holds) {
    ASSERT_TRUE(sim_.run_until(holds, base::Duration::seconds(60)));
  }
  void settle() { sim_.run_for(base::Duration::seconds(1)); }

  void flush() { socket_->send(codec_.take_output()); }
  void open(uint32_t stream, const std::string& type, int port, const std::string& request = "0") {
    codec_.open(stream,
                {{"streamtype", type}, {"port", std::to_string(port)}, {"requestid", request}});
    flush();
  }
  /// As kubectl: the error stream, of which its side ends at once, then the data's.
  void open_both(uint32_t first, int port, const std::string& request) {
    open(first, "error", port, request);
    codec_.data(first, "", true);
    open(first + 2, "data", port, request);
  }
  void send(uint32_t stream, std::string_view bytes, bool is_last = false) {
    codec_.data(stream, bytes, is_last);
    flush();
  }
  int port() const { return pod_listener_->address().port; }

  sim::SimWorld sim_{3};
  world::World world_ = sim_.world();
  std::unique_ptr<world::Listener> pod_listener_, front_listener_;
  std::unique_ptr<world::Connection> pod_;
  std::unique_ptr<PortForwardSession> session_;
  std::unique_ptr<net::WebSocket> socket_;
  net::SpdyCodec codec_;
  std::string pod_heard_;
  bool has_client_ended_ = false;
  std::vector<uint32_t> replied_, reset_, ended_;
  std::map<uint32_t, std::string> heard_;
  std::optional<net::WebSocketEnd> end_;
};

using Streams = std::vector<uint32_t>;

TEST_F(PortForwardTest, BytesGoBothWaysAndBothStreamsEndWithThePodsSide) {
  open_both(1, port(), "0");
  send(3, "before the connection is there");
  run_until([this] { return pod_heard_ == "before the connection is there"; });
  EXPECT_EQ(replied_, (Streams{1, 3}));
  pod_->send("answer");
  run_until([this] { return heard_[3] == "answer"; });
  pod_->finish();
  run_until([this] { return ended_.size() == 2; });
  EXPECT_EQ(heard_[1], "");
  EXPECT_TRUE(reset_.empty());
}

TEST_F(PortForwardTest, AClientThatHasEndedItsSideStillReads) {
  open_both(1, port(), "0");
  send(3, "all", true);
  run_until([this] { return has_client_ended_; });
  EXPECT_EQ(pod_heard_, "all");
  pod_->send("late");
  pod_->finish();
  run_until([this] { return ended_.size() == 2; });
  EXPECT_EQ(heard_[3], "late");
}

TEST_F(PortForwardTest, APortWhereNobodyListensIsAnErrorOfThisConnectionOnly) {
  open_both(1, port(), "0");
  run_until([this] { return pod_ != nullptr; });
  const int closed = 1;
  open_both(5, closed, "1");
  run_until([this] { return !heard_[5].empty() && ended_.size() == 2; });
  EXPECT_TRUE(heard_[5].starts_with(
      "error forwarding port 1 to pod web, uid uid-web: dial tcp 127.0.0.1:1: connect: "))
      << heard_[5];
  pod_->send("goes on");
  run_until([this] { return heard_[3] == "goes on"; });
  EXPECT_FALSE(end_.has_value());
}

TEST_F(PortForwardTest, AResetOfTheDataEndsTheConnectionToThePod) {
  open_both(1, port(), "0");
  run_until([this] { return pod_ != nullptr; });
  codec_.reset(3, net::SpdyReset::Cancel);
  flush();
  run_until([this] { return has_client_ended_; });
  EXPECT_EQ(ended_, (Streams{3, 1}));
}

TEST_F(PortForwardTest, StreamsWithoutSenseAreResetAndTheOthersGoOn) {
  open(1, "error", 0);
  open(3, "both", port());
  open(5, "data", port(), "");
  open(4, "data", port());              // the server's number
  open(5, "data", port());              // used already
  open(7, "data", port());              // the first that is right
  open(9, "data", port());              // its second data stream
  open(11, "error", 1 + port() % 100);  // another port
  run_until([this] { return reset_.size() == 7; });
  EXPECT_EQ(reset_, (Streams{1, 3, 5, 4, 5, 9, 11}));
  open(13, "error", port());
  send(7, "x");
  run_until([this] { return pod_heard_ == "x"; });
}

TEST_F(PortForwardTest, AStreamThatIsResetBeforeItsPairCameIsForgotten) {
  open(1, "data", port());
  codec_.reset(1, net::SpdyReset::Cancel);
  open(3, "error", port());
  open(5, "data", port());
  send(5, "y");
  run_until([this] { return pod_heard_ == "y"; });
  EXPECT_TRUE(reset_.empty());
}

TEST_F(PortForwardTest, APodThatDoesNotReadHoldsTheClientBackAndAClientThatDoesNotReadItsPod) {
  constexpr size_t kPiece = 64 * 1024;
  constexpr size_t kPieces = 200;
  open_both(1, port(), "0");
  run_until([this] { return pod_ != nullptr; });
  pod_->pause_reading();
  for (size_t i = 0; i < kPieces; ++i) send(3, std::string(kPiece, 'u'));
  settle();
  EXPECT_GT(socket_->queued_bytes(), kPieces * kPiece / 2);
  pod_->resume_reading();
  run_until([this] { return pod_heard_.size() == kPieces * kPiece; });
  socket_->pause_reading();
  for (size_t i = 0; i < kPieces; ++i) pod_->send(std::string(kPiece, 'd'));
  settle();
  EXPECT_GT(pod_->queued_bytes(), kPieces * kPiece / 2);
  socket_->resume_reading();
  run_until([this] { return heard_[3].size() == kPieces * kPiece; });
}

TEST_F(PortForwardTest, WhoBreaksTheProtocolIsToldAndAllEnds) {
  open_both(1, port(), "0");
  run_until([this] { return pod_ != nullptr; });
  socket_->send(std::string_view("\x80\x02\0\x06\0\0\0\x04\0\0\0\x07", 12));
  run_until([this] { return end_.has_value() && has_client_ended_ && !session_; });
  EXPECT_EQ(end_->code, net::WebSocketClose::ProtocolError);
}

TEST_F(PortForwardTest, WithItsClientEveryConnectionToThePodEnds) {
  open_both(1, port(), "0");
  run_until([this] { return pod_ != nullptr; });
  socket_.reset();
  run_until([this] { return has_client_ended_ && !session_; });
}

}  // namespace
}  // namespace pelton::agent
