// SPDX-License-Identifier: Apache-2.0
// A client, a server, and a proxy that splices them, over every world.
#include "net/splice.h"

#include "net/http_world.h"

namespace pelton::net {
namespace {

using base::Duration;

struct Peer {
  std::unique_ptr<world::Connection> connection;
  std::string received;
  std::optional<base::Status> end;

  void start() {
    connection->start({.on_data = [this](std::string_view bytes) { received += bytes; },
                       .on_end = [this](const base::Status& status) { end = status; },
                       .on_drained = {}});
  }
};

class SpliceTest : public HttpWorldTest {
 protected:
  void SetUp() override {
    server_listener_ = listen([this](auto connection) {
      server_peer_.connection = std::move(connection);
      server_peer_.start();
    });
    proxy_listener_ = listen([this](auto connection) {
      front_ = std::move(connection);
      connect(server_listener_->address(), [this](auto back) {
        splice_ = std::make_unique<Splice>(
            world().timers, std::move(front_), std::move(back), [this] { has_ended_ = true; },
            patience_);
      });
    });
    connect(proxy_listener_->address(), [this](auto connection) {
      client_peer_.connection = std::move(connection);
      client_peer_.start();
    });
    ASSERT_TRUE(run_until([this] { return server_peer_.connection && client_peer_.connection; }));
  }
  std::unique_ptr<world::Listener> listen(
      std::function<void(std::unique_ptr<world::Connection>)> on_accept) {
    return world().network.listen({"127.0.0.1", 0}, std::move(on_accept)).value();
  }
  void connect(const world::Address& address,
               const std::function<void(std::unique_ptr<world::Connection>)>& done) {
    world().network.connect(address, Duration::seconds(5),
                            [done](auto result) { done(std::move(result).value()); });
  }
  ~SpliceTest() override {
    splice_.reset();
    client_peer_.connection.reset();
    server_peer_.connection.reset();
    front_.reset();
    proxy_listener_.reset();
    server_listener_.reset();
  }

  std::unique_ptr<world::Listener> server_listener_, proxy_listener_;
  std::unique_ptr<world::Connection> front_;
  std::unique_ptr<Splice> splice_;
  Peer client_peer_, server_peer_;
  Duration patience_ = Duration::seconds(30);
  bool has_ended_ = false;
};
INSTANTIATE_TEST_SUITE_P(, SpliceTest,
                         ::testing::Values(HttpWorldKind{false, false}, HttpWorldKind{true, false}),
                         world_name);

TEST_P(SpliceTest, BytesPassBothWaysAndEachSideEndsWhenItWants) {
  client_peer_.connection->send("question");
  client_peer_.connection->finish();
  ASSERT_TRUE(run_until([this] { return server_peer_.end.has_value(); }));
  EXPECT_EQ(server_peer_.received, "question");
  EXPECT_FALSE(has_ended_) << "the answer is still to come";
  server_peer_.connection->send("answer");
  server_peer_.connection->finish();
  ASSERT_TRUE(run_until([this] { return has_ended_; }));
  ASSERT_TRUE(run_until([this] { return client_peer_.end.has_value(); }));
  EXPECT_EQ(client_peer_.received, "answer");
}

TEST_P(SpliceTest, ASideThatDoesNotReadHoldsTheOtherBackAndGetsEverythingInTheEnd) {
  server_peer_.connection->pause_reading();
  const std::string piece(1 << 20, 'x');
  for (int i = 0; i < 64; ++i) client_peer_.connection->send(piece);
  for (int i = 0; i < 5; ++i) settle();
  EXPECT_GT(client_peer_.connection->queued_bytes(), 16u << 20) << "the proxy has taken it all";
  server_peer_.connection->resume_reading();
  ASSERT_TRUE(run_until([&] { return server_peer_.received.size() == 64 * piece.size(); }));
  EXPECT_EQ(client_peer_.connection->queued_bytes(), 0u);
}

TEST_P(SpliceTest, WhatWasSaidLastArrivesAlsoWhereItIsTakenLate) {
  client_peer_.connection->pause_reading();
  client_peer_.connection->finish();
  ASSERT_TRUE(run_until([this] { return server_peer_.end.has_value(); }));
  const size_t size = 8 << 20;
  server_peer_.connection->send(std::string(size, 'x'));
  server_peer_.connection->finish();
  for (int i = 0; i < 5; ++i) settle();
  EXPECT_FALSE(has_ended_);
  client_peer_.connection->resume_reading();
  ASSERT_TRUE(run_until([this] { return has_ended_; }));
  splice_.reset();
  ASSERT_TRUE(run_until([this] { return client_peer_.end.has_value(); }));
  EXPECT_EQ(client_peer_.received.size(), size);
}

/// The simulated network tells nothing to who has paused.
class RealSpliceTest : public SpliceTest {
 protected:
  RealSpliceTest() { patience_ = Duration::seconds(1); }
};
INSTANTIATE_TEST_SUITE_P(, RealSpliceTest, ::testing::Values(HttpWorldKind{false, false}),
                         world_name);

TEST_P(RealSpliceTest, ASideThatIsGoneEndsTheSpliceAlsoWhileItIsHeldBack) {
  server_peer_.connection->pause_reading();
  for (int i = 0; i < 64; ++i) client_peer_.connection->send(std::string(1 << 20, 'x'));
  settle();
  client_peer_.connection.reset();
  // The server's side writes now and then (a ping): that shows that nobody is there.
  world::Timer again(world().timers);
  std::function<void()> write = [&] {
    server_peer_.connection->send("ping");
    again.start(Duration::milliseconds(20), write);
  };
  write();
  ASSERT_TRUE(run_until([this] { return has_ended_; }));
}

}  // namespace
}  // namespace pelton::net
