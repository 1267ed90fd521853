// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor_channel.h"

#include <gtest/gtest.h>

#include "os/test_world.h"

namespace pelton::agent {
namespace {

using base::Duration;
using base::Json;
namespace recovery = decide::recovery;

class SupervisorChannelTest : public os::RealWorldTest {
 protected:
  /// A supervisor's end.
  struct Peer {
    std::unique_ptr<world::Connection> connection;
    std::string heard;
    bool has_ended = false;
  };

  void open() {
    channel_ = std::make_unique<SupervisorChannel>(world(), directory(),
                                                   [this](recovery::PodReport report) {
                                                     reports_.push_back(std::move(report));
                                                     stop();
                                                   });
    const base::Status status = channel_->open();
    ASSERT_TRUE(status.ok()) << status.message();
  }
  std::string directory() const { return directory_ + "/pod/agent"; }
  std::unique_ptr<Peer> connect() {
    auto peer = std::make_unique<Peer>();
    world().network.connect(
        {directory() + "/" + SupervisorChannel::kSocketName, 0}, Duration::seconds(5),
        [this, to = peer.get()](base::Result<std::unique_ptr<world::Connection>> made) {
          ASSERT_TRUE(made.ok()) << made.status().message();
          to->connection = std::move(made).value();
          to->connection->start({.on_data =
                                     [this, to](std::string_view bytes) {
                                       to->heard += bytes;
                                       stop();
                                     },
                                 .on_end =
                                     [this, to](const base::Status&) {
                                       to->has_ended = true;
                                       stop();
                                     },
                                 .on_drained = {}});
          stop();
        });
    run();
    return peer;
  }
  void wait_until(const std::function<bool()>& condition) {
    while (!condition()) run();
  }
  static recovery::Generation generation(int64_t number) {
    return {.number = number, .job_uid = "job", .members = {{.pod = "a", .pod_uid = "uid"}}};
  }
  static int64_t newest(const Peer& peer) {
    const std::string_view lines(peer.heard.data(), peer.heard.rfind('\n'));
    const size_t begin = lines.rfind('\n');
    const auto line =
        Json::parse(begin == std::string_view::npos ? lines : lines.substr(begin + 1));
    return (*line)["generation"]["number"].as_int();
  }

  std::unique_ptr<SupervisorChannel> channel_;
  std::vector<recovery::PodReport> reports_;
};

TEST_F(SupervisorChannelTest, TheNewestGenerationIsToldFirstAndThenEachNewOne) {
  open();
  channel_->tell(generation(1));
  channel_->tell(generation(2));
  const auto first = connect();
  wait_until([&] { return !first->heard.empty(); });
  EXPECT_EQ(newest(*first), 2);
  EXPECT_EQ(first->heard.find("\"number\":1"), std::string::npos) << "what is old is over";
  channel_->tell(generation(3));
  channel_->tell(generation(3));  // seen twice is told once
  wait_until([&] { return newest(*first) == 3; });
  const auto second = connect();
  wait_until([&] { return !second->heard.empty(); });
  EXPECT_EQ(newest(*second), 3);
}

TEST_F(SupervisorChannelTest, ReportsArriveWholeHoweverTheBytesCome) {
  open();
  const auto peer = connect();
  recovery::PodReport report;
  report.generation = 4;
  report.stage = recovery::PodReport::Stage::Stopped;
  const std::string line = Json::object({{"report", recovery::to_json(report)}}).dump() + "\n";
  peer->connection->send(line.substr(0, 10));
  peer->connection->send(line.substr(10) + line.substr(0, 5));
  peer->connection->send(line.substr(5));
  wait_until([&] { return reports_.size() == 2; });
  EXPECT_EQ(reports_[0], report);
  EXPECT_EQ(reports_[1], report);
}

TEST_F(SupervisorChannelTest, WhatIsWrongIsAnsweredAndChangesNothing) {
  open();
  const auto peer = connect();
  peer->connection->send("{\"report\": {\"stage\": \"Dancing\"}}\n");
  wait_until([&] { return !peer->heard.empty(); });
  EXPECT_NE(peer->heard.find("report: stage: \\\"Dancing\\\" is none of Joined"), std::string::npos)
      << peer->heard;
  peer->connection->send("not JSON\n");
  wait_until([&] { return std::count(peer->heard.begin(), peer->heard.end(), '\n') == 2; });
  EXPECT_TRUE(reports_.empty());
  peer->connection->send(std::string(SupervisorChannel::kMaxLine + 1, 'x'));
  wait_until([&] { return peer->has_ended; });
}

TEST_F(SupervisorChannelTest, ASuccessorListensAtTheSamePlace) {
  open();
  const auto orphan = connect();
  channel_.reset();
  wait_until([&] { return orphan->has_ended; });
  open();
  channel_->tell(generation(9));
  const auto peer = connect();
  wait_until([&] { return !peer->heard.empty(); });
  EXPECT_EQ(newest(*peer), 9);
}

}  // namespace
}  // namespace pelton::agent
