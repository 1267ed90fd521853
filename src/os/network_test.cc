// SPDX-License-Identifier: Apache-2.0
#include "world/network.h"

#include "os/test_world.h"

namespace pelton::os {
namespace {

using base::Code;
using base::Duration;
using base::Result;
using base::Status;
using world::Address;
using world::Connection;

/// The two ends of one connection over loopback.
class NetworkTest : public RealWorldTest {
 protected:
  world::Network& network() { return world().network; }

  void connect_pair(const Address& at = {"127.0.0.1", 0}) {
    listener_ = network()
                    .listen(at,
                            [this](std::unique_ptr<Connection> c) {
                              server_ = std::move(c);
                              if (client_) stop();
                            })
                    .value();
    network().connect(listener_->address(), Duration::seconds(5),
                      [this](Result<std::unique_ptr<Connection>> c) {
                        client_ = std::move(c).value();
                        if (server_) stop();
                      });
    run();
    ASSERT_TRUE(server_ && client_);
  }

  std::unique_ptr<world::Listener> listener_;
  std::unique_ptr<Connection> server_, client_;
};

TEST_F(NetworkTest, BytesArriveInBothDirectionsAndEndIsTold) {
  connect_pair();
  std::string at_server, at_client;
  server_->start({.on_data =
                      [&](std::string_view bytes) {
                        at_server += bytes;
                        server_->send("pong");
                        server_->finish();
                      },
                  .on_end = [](Status) {},
                  .on_drained = {}});
  client_->start({.on_data = [&](std::string_view bytes) { at_client += bytes; },
                  .on_end =
                      [&](Status s) {
                        EXPECT_TRUE(s.ok());
                        stop();
                      },
                  .on_drained = {}});
  client_->send("ping");
  run();
  EXPECT_EQ(at_server, "ping");
  EXPECT_EQ(at_client, "pong");
  EXPECT_EQ(client_->peer(), listener_->address());
}

TEST_F(NetworkTest, DataThatCameBeforeStartIsToldAfterItAndNotWithinIt) {
  connect_pair();
  client_->send("early");
  settle();
  std::string got;
  server_->start({.on_data =
                      [&](std::string_view bytes) {
                        got += bytes;
                        stop();
                      },
                  .on_end = {},
                  .on_drained = {}});
  EXPECT_EQ(got, "");
  run();
  EXPECT_EQ(got, "early");
}

TEST_F(NetworkTest, ASlowReaderMakesTheQueueGrowAndDrainedIsToldWhenItIsEmpty) {
  connect_pair();
  bool is_drained = false;
  size_t received = 0;
  client_->start({.on_data = {}, .on_end = {}, .on_drained = [&] { is_drained = true; }});
  server_->start({.on_data =
                      [&](std::string_view bytes) {
                        received += bytes.size();
                        if (received == 32u << 20) stop();
                      },
                  .on_end = {},
                  .on_drained = {}});
  server_->pause_reading();
  const std::string piece(1 << 20, 'x');
  for (int i = 0; i < 32; ++i) client_->send(piece);
  EXPECT_GT(client_->queued_bytes(), 1u << 20);
  settle();
  EXPECT_EQ(received, 0u);
  EXPECT_FALSE(is_drained);
  server_->resume_reading();
  run();
  EXPECT_TRUE(is_drained);
  EXPECT_EQ(client_->queued_bytes(), 0u);
}

TEST_F(NetworkTest, AWriterWhoPausedReadingIsToldThatTheConnectionBroke) {
  connect_pair();
  std::optional<Status> end;
  client_->start({.on_data = {},
                  .on_end =
                      [&](Status status) {
                        end = std::move(status);
                        stop();
                      },
                  .on_drained = {}});
  client_->pause_reading();
  server_.reset();
  settle();
  EXPECT_FALSE(end.has_value()) << "what it had sent might still be wanted";
  client_->send("first: answered by a reset");
  settle();
  if (!end) client_->send("second: cannot be sent");
  if (!end) run();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->code(), base::Code::Unavailable);
}

TEST_F(NetworkTest, FinishSendsWhatIsQueuedFirst) {
  connect_pair();
  size_t received = 0;
  client_->start({});
  server_->start({.on_data = [&](std::string_view bytes) { received += bytes.size(); },
                  .on_end =
                      [&](Status s) {
                        EXPECT_TRUE(s.ok());
                        stop();
                      },
                  .on_drained = {}});
  client_->send(std::string(20 << 20, 'x'));
  client_->finish();
  client_->send("too late");
  run();
  EXPECT_EQ(received, 20u << 20);
}

TEST_F(NetworkTest, DestroyingOneEndEndsTheOther) {
  connect_pair();
  client_->start({.on_data = {}, .on_end = [&](Status) { stop(); }, .on_drained = {}});
  server_.reset();
  run();
}

TEST_F(NetworkTest, AResetIsUnavailable) {
  connect_pair();
  client_->start({.on_data = {},
                  .on_end =
                      [&](Status s) {
                        EXPECT_EQ(s.code(), Code::Unavailable);
                        stop();
                      },
                  .on_drained = {}});
  client_->send("unread bytes make the close a reset");
  settle();
  server_.reset();
  run();
}

TEST_F(NetworkTest, AConnectionMayBeDestroyedByItsOwnEvents) {
  connect_pair();
  auto token = std::make_shared<std::string>("captured");
  server_->start({.on_data =
                      [this, token](std::string_view) {
                        server_.reset();
                        EXPECT_EQ(*token, "captured");
                      },
                  .on_end = {},
                  .on_drained = {}});
  client_->start({.on_data = {},
                  .on_end =
                      [this, token](Status) {
                        client_.reset();
                        EXPECT_EQ(*token, "captured");
                        stop();
                      },
                  .on_drained = {}});
  client_->send("x");
  run();
}

TEST_F(NetworkTest, APausedReaderWhosePeerIsGoneDoesNotSpinAndIsToldOnResume) {
  connect_pair();
  bool has_ended = false;
  server_->start({.on_data = {},
                  .on_end =
                      [&](Status) {
                        has_ended = true;
                        stop();
                      },
                  .on_drained = {}});
  server_->pause_reading();
  client_.reset();
  settle();
  EXPECT_FALSE(has_ended);
  server_->resume_reading();
  run();
  EXPECT_TRUE(has_ended);
}

TEST_F(NetworkTest, SendingToAPeerThatLeftEndsTheConnectionAndNotTheProcess) {
  connect_pair();
  server_.reset();
  client_->start({.on_data = {}, .on_end = [&](Status) { stop(); }, .on_drained = {}});
  for (int i = 0; i < 100; ++i) client_->send(std::string(100'000, 'x'));
  run();
  client_->send("still nothing happens");
}

TEST_F(NetworkTest, UnixSocketsWorkAndLeaveNoFile) {
  connect_pair({path("s.sock"), 0});
  server_->start({.on_data = [&](std::string_view) { stop(); }, .on_end = {}, .on_drained = {}});
  client_->send("x");
  run();
  EXPECT_TRUE(world().files.exists(path("s.sock")));
  listener_.reset();
  EXPECT_FALSE(world().files.exists(path("s.sock")));
}

TEST_F(NetworkTest, UnixSocketsMayLieDeepDown) {
  const std::string directory = path(std::string(100, 'd') + "/" + std::string(100, 'e'));
  ASSERT_TRUE(world().files.make_directories(directory).ok());
  const Address address{directory + "/s.sock", 0};
  connect_pair(address);
  EXPECT_EQ(listener_->address(), address);
  server_->start({.on_data = [&](std::string_view) { stop(); }, .on_end = {}, .on_drained = {}});
  client_->send("x");
  run();
  EXPECT_TRUE(world().files.exists(address.host));
  listener_.reset();
  EXPECT_FALSE(world().files.exists(address.host));
  const Status absent =
      network().listen({path(std::string(200, 'x')) + "/s", 0}, [](auto) {}).status();
  EXPECT_EQ(absent.code(), Code::NotFound) << absent.message();
}

TEST_F(NetworkTest, ATakenAddressIsUnavailableAndNamed) {
  connect_pair();
  const auto second = network().listen(listener_->address(), [](auto) {});
  EXPECT_EQ(second.status().code(), Code::Unavailable);
  EXPECT_NE(second.status().message().find(listener_->address().to_string()), std::string::npos);
  EXPECT_EQ(network().listen({"localhost", 0}, [](auto) {}).status().code(), Code::InvalidArgument);
}

TEST_F(NetworkTest, ALiveUnixSocketIsNotTakenOver) {
  connect_pair({path("s.sock"), 0});
  EXPECT_EQ(network().listen({path("s.sock"), 0}, [](auto) {}).status().code(), Code::Unavailable);
}

TEST_F(NetworkTest, ARefusedConnectionIsUnavailableNotWithinTheCall) {
  Address closed;
  {
    const auto listener = network().listen({"127.0.0.1", 0}, [](auto) {}).value();
    closed = listener->address();
  }
  bool is_within_call = true;
  int told = 0;
  for (const Address& address : {closed, Address{"not an address", 1}, Address{path("none"), 0}}) {
    network().connect(address, Duration::seconds(5), [&](Result<std::unique_ptr<Connection>> c) {
      EXPECT_FALSE(c.ok());
      EXPECT_FALSE(is_within_call);
      if (++told == 3) stop();
    });
  }
  is_within_call = false;
  run();
}

TEST_F(NetworkTest, AListenerMayBeDestroyedByWhatItAccepts) {
  listener_ = network().listen({"127.0.0.1", 0}, [this](auto) { listener_.reset(); }).value();
  const Address address = listener_->address();
  int told = 0;
  for (int i = 0; i < 3; ++i) {
    network().connect(address, Duration::seconds(5), [&](auto) {
      if (++told == 3) stop();
    });
  }
  run();
}

TEST_F(NetworkTest, ListsEachInterfaceOnceAndNotLoopback) {
  std::set<std::string> listed;
  const auto sys = world().files.list("/sys/class/net");
  ASSERT_TRUE(sys.ok());
  for (const auto& each : *sys) listed.insert(each.name);
  EXPECT_EQ(listed.erase("lo"), 1);
  const auto links = world().network.links();
  ASSERT_TRUE(links.ok());
  std::vector<std::string> names;
  for (const auto& link : *links) names.push_back(link.name);
  EXPECT_EQ(names, std::vector<std::string>(listed.begin(), listed.end()));
}

TEST_F(NetworkTest, ManyConnectionsAtOnceAllArrive) {
  std::vector<std::unique_ptr<Connection>> accepted, connected;
  listener_ = network()
                  .listen({"127.0.0.1", 0},
                          [&](auto c) {
                            accepted.push_back(std::move(c));
                            if (accepted.size() == 300 && connected.size() == 300) stop();
                          })
                  .value();
  for (int i = 0; i < 300; ++i) {
    network().connect(listener_->address(), Duration::seconds(5), [&](auto c) {
      connected.push_back(std::move(c).value());
      if (accepted.size() == 300 && connected.size() == 300) stop();
    });
  }
  run();
}

}  // namespace
}  // namespace pelton::os
