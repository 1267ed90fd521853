// SPDX-License-Identifier: Apache-2.0
// Three nodes of one job over real sockets: whose memory holds what, whoever dies.
#include "agent/peers/job_peers.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "agent/fake_api.h"
#include "base/rng.h"
#include "base/strings.h"
#include "checkpoint/held.h"
#include "client/in_process.h"
#include "net/http_server.h"
#include "os/shared_memory.h"
#include "os/test_world.h"

namespace pelton::agent {
namespace {

namespace names = decide::checkpoint;
using base::Json;
using names::MemoryVersion;

constexpr size_t kNodes = 3, kBytes = 10'000;
constexpr const char* kJob = "job";

std::string content(int writer, int64_t step) {
  base::Rng rng(base::hash64(fmt::format("{} {}", writer, step)));
  std::string bytes(kBytes, '\0');
  for (char& each : bytes) each = static_cast<char>(rng.next());
  return bytes;
}

std::string manifest_text(int writer, int64_t step) {
  names::Manifest manifest;
  manifest.job = manifest.run = kJob;
  manifest.generation = 1;
  manifest.step = step;
  manifest.writer = static_cast<uint64_t>(writer);
  manifest.writers = kNodes;
  manifest.file = names::data_name(writer);
  manifest.tensors = {{"w", "uint8", 1, {kNodes, kBytes}}};
  const names::Box box{{static_cast<uint64_t>(writer), 0}, {1, kBytes}};
  manifest.slices.push_back({0, box, 0, {base::hash64(content(writer, step))}});
  lay_out(manifest);
  return names::seal(to_json(manifest));
}

class JobPeersTest : public os::RealWorldTest {
 protected:
  struct Node {
    std::string name, memory;
    std::unique_ptr<client::InProcessTransport> transport;
    std::unique_ptr<client::Client> client;
    std::unique_ptr<PeerClient> peers;
    std::unique_ptr<net::HttpServer> server;
    world::Address address;
    std::unique_ptr<JobPeers> job;
  };

  void SetUp() override {
    for (size_t i = 0; i < kNodes; ++i) {
      Node& node = nodes_[i];
      node.name = fmt::format("n{}", i);
      EXPECT_TRUE(world().files.make_directories(path(node.name)).ok());
      node.memory = world().files.real_path(path(node.name)).value();
      node.transport = std::make_unique<client::InProcessTransport>(
          api_.handler(), net::Identity{"system:node:" + node.name, {"system:nodes"}},
          world().timers);
      node.client = std::make_unique<client::Client>(*node.transport, world().timers);
      node.server = std::make_unique<net::HttpServer>(
          world().network, world().timers, nullptr,
          [this, &node](net::Request request, net::ResponseSinkPtr sink) {
            serve(node, request, sink);
          });
      node.address = node.server->listen({"127.0.0.1", 0}).value();
    }
    for (Node& node : nodes_) start(node);
  }
  void TearDown() override {
    for (Node& node : nodes_) kill(node);
    for (Node& node : nodes_) node.server.reset();
  }

  void serve(Node& node, const net::Request& request, const net::ResponseSinkPtr& sink) {
    const std::string prefix = fmt::format("/memory/{}/", kJob);
    if (!node.job || !request.target.starts_with(prefix)) return sink->respond(404, "", "none\n");
    std::string from;
    const auto body = Json::parse(request.body);
    for (const Node& each : nodes_) {
      if (body.ok() && (*body)["port"].as_int() == each.address.port) from = each.name;
    }
    node.job->serve(request, request.target.substr(prefix.size()), from, sink);
  }

  /// As an agent that starts does.
  void start(Node& node) {
    node.peers = std::make_unique<PeerClient>(world(), *node.client, nullptr);
    for (const Node& other : nodes_) node.peers->know(other.name, other.address);
    node.job = std::make_unique<JobPeers>(
        world(), *node.peers, JobPeers::Settings{kJob, node.name, node.memory, node.address});
    const base::Status opened = node.job->open();
    ASSERT_TRUE(opened.ok()) << opened.to_string();
    const Json policy = this->policy();
    node.job->follow(&policy);
  }
  /// As far as others see it: what is in memory stays.
  static void kill(Node& node) {
    node.job.reset();
    node.peers.reset();
  }
  Json policy() const {
    decide::recovery::Generation generation;
    generation.number = 1;
    generation.phase = decide::recovery::Generation::Phase::Running;
    for (size_t i = 0; i < kNodes; ++i) {
      decide::recovery::Member member;
      member.pod = fmt::format("p{}", i);
      member.pod_uid = fmt::format("u{}", i);
      member.node = fmt::format("n{}", i);
      generation.members.push_back(member);
    }
    Json entry = Json::object({{"uid", kJob}, {"generation", to_json(generation)}});
    return Json::object({{"spec", Json::object({{"memoryReplicas", 1}})},
                         {"status", Json::object({{"jobSets", Json::Array{entry}}})}});
  }

  std::string part(size_t node, int writer, int64_t step) const {
    return fmt::format("{}/checkpoint/{}/w{:05d}", nodes_[node].memory,
                       names::directory_name({1, step}), writer);
  }
  /// As checkpoint/areas.h does, which keeps the newest two and what has a second name.
  void save(int64_t step) {
    for (size_t i = 0; i < kNodes; ++i) {
      const int writer = static_cast<int>(i);
      if (const std::string old = part(i, writer, step - 2); memory_.names_of(old + ".data") == 1) {
        world().files.remove(old + ".manifest").ignore("it may not be there");
        world().files.remove(old + ".data").ignore("it may not be there");
      }
      const std::string mine = part(i, writer, step);
      const std::string directory = mine.substr(0, mine.rfind('/'));
      EXPECT_TRUE(world().files.make_directories(directory).ok());
      std::string bytes = content(writer, step);
      bytes.resize((kBytes + 4095) / 4096 * 4096);
      EXPECT_TRUE(world().files.replace(mine + ".data", bytes).ok());
      EXPECT_TRUE(world().files.replace(mine + ".manifest", manifest_text(writer, step)).ok());
    }
  }
  /// Nodes that hold the part whole.
  std::set<size_t> holders(int writer, int64_t step) {
    std::set<size_t> found;
    for (size_t i = 0; i < kNodes; ++i) {
      if (!world().files.exists(part(i, writer, step) + ".manifest")) continue;
      const auto data = world().files.read(part(i, writer, step) + ".data");
      EXPECT_TRUE(data.ok() && data->starts_with(content(writer, step)))
          << "part " << writer << " of step " << step << " on node " << i << " is wrong";
      found.insert(i);
    }
    return found;
  }
  bool survives(int64_t step, size_t lost) {
    for (size_t writer = 0; writer < kNodes; ++writer) {
      std::set<size_t> found = holders(static_cast<int>(writer), step);
      found.erase(lost);
      if (found.empty()) return false;
    }
    return true;
  }
  bool is_protected(int64_t step) {
    return survives(step, 0) && survives(step, 1) && survives(step, 2);
  }
  size_t versions_of(size_t node, int writer, int64_t last) {
    size_t count = 0;
    for (int64_t step = 1; step <= last; ++step) count += holders(writer, step).contains(node);
    return count;
  }
  template <typename Predicate>
  void wait_until(const char* what, const Predicate& predicate) {
    const base::Duration until = world().clock.elapsed() + base::Duration::seconds(50);
    while (!predicate() && world().clock.elapsed() < until) settle();
    EXPECT_TRUE(predicate()) << what;
  }

  FakeApi api_;
  os::OsSharedMemory memory_;
  std::array<Node, kNodes> nodes_;
};

TEST_F(JobPeersTest, EachVersionIsCopiedAndTheWritersKeepNoMoreThanTheirTwo) {
  for (int64_t step = 1; step <= 4; ++step) {
    save(step);
    wait_until("a copy", [&] { return is_protected(step); });
    // The one before is let go of when all have the newer one.
    wait_until("no other is kept",
               [&] { return step == 1 || memory_.names_of(part(0, 0, step - 1) + ".data") == 1; });
  }
  for (size_t i = 0; i < kNodes; ++i) {
    EXPECT_EQ(versions_of(i, static_cast<int>(i), 4), 2U);
    EXPECT_LE(versions_of(i, static_cast<int>((i + kNodes - 1) % kNodes), 4), 2U) << "copies";
  }
}

TEST_F(JobPeersTest, AVersionIsKeptWholeUntilANewerOneIs) {
  save(1);
  wait_until("copies of step 1", [&] { return is_protected(1); });
  settle();
  kill(nodes_[2]);  // its memory stays, and nothing is copied from it or to it
  for (int64_t step = 2; step <= 9; ++step) {
    save(step);
    for (int i = 0; i < 5; ++i) settle();
    EXPECT_TRUE(is_protected(1)) << "after step " << step;
  }
  EXPECT_LE(versions_of(0, 0, 9), 4U) << "two of the writer, one that is kept, one that is copied";
  EXPECT_LE(versions_of(1, 0, 9), 2U) << "copies";
  start(nodes_[2]);
  // Training goes on, and all come to copy the same steps again.
  int64_t last = 9;
  bool is_newer_protected = false;
  wait_until("a newer one that is protected", [&] {
    save(++last);
    for (int i = 0; i < 5; ++i) settle();
    for (int64_t step = 2; step <= last; ++step) is_newer_protected |= is_protected(step);
    return is_newer_protected;
  });
  EXPECT_LE(versions_of(0, 0, last), 4U);
}

TEST_F(JobPeersTest, WhatADeadAgentWasReceivingIsRemovedAndCopiedAnew) {
  kill(nodes_[1]);
  const std::string directory = nodes_[1].memory + "/checkpoint/" + names::directory_name({1, 1});
  EXPECT_TRUE(world().files.make_directories(directory).ok());
  const std::string half = directory + "/" + IncomingPart::kHalf + "w00000.data";
  EXPECT_TRUE(world().files.replace(half, content(0, 1).substr(0, 4'000)).ok());
  save(1);
  settle();
  EXPECT_FALSE(holders(0, 1).contains(1));
  start(nodes_[1]);
  EXPECT_FALSE(world().files.exists(half));
  wait_until("copies", [&] { return is_protected(1); });
}

}  // namespace
}  // namespace pelton::agent
