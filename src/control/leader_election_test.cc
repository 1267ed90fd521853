// SPDX-License-Identifier: Apache-2.0
#include "control/leader_election.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "client/in_process.h"
#include "client/testing/fake_loop.h"
#include "client/testing/fake_server.h"

namespace pelton::control {
namespace {

using base::Duration;
using Fault = client::FakeServer::Fault;

constexpr const char* kPath =
    "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/controllers";

/// Contenders over one server, and who leads; never two at once.
class ElectionTest : public ::testing::Test {
 protected:
  struct Contender {
    Contender(ElectionTest& t, const std::string& name)
        : transport(t.server.handler(), {name, {}}, t.loop),
          client(transport, t.loop, Duration::seconds(5)),
          elector(client, t.loop, t.loop, t.log, base::Rng(base::hash64(name)),
                  leader_election({name, "kube-system", "controllers", Duration::seconds(15)}),
                  {.on_led = [&t, name] { t.begin(name); },
                   .on_lost = [&t, name] { t.leaders.erase(name); }}) {
      elector.start();
    }
    client::InProcessTransport transport;
    client::Client client;
    LeaderElector elector;
  };

  void begin(const std::string& name) {
    leaders.insert(name);
    EXPECT_EQ(leaders.size(), 1u) << "two lead at " << loop.elapsed().to_seconds();
    history += name;
  }
  void add(const std::string& name) { all[name] = std::make_unique<Contender>(*this, name); }
  /// As kill -9 does.
  void kill(const std::string& name) {
    all.erase(name);
    leaders.erase(name);
  }
  void run(int64_t seconds) { loop.advance(Duration::seconds(seconds)); }
  const base::Json& spec() { return (*server.find(kPath))["spec"]; }

  client::FakeLoop loop;
  base::NullLog log;
  client::FakeServer server;
  std::set<std::string> leaders;
  std::string history;
  std::map<std::string, std::unique_ptr<Contender>> all;
};

TEST_F(ElectionTest, OneOfManyLeadsAndGoesOnLeading) {
  for (const char* name : {"a", "b", "c"}) add(name);
  run(300);
  EXPECT_EQ(history.size(), 1u);
  EXPECT_EQ(leaders.size(), 1u);
  EXPECT_EQ(spec()["leaseTransitions"].as_int(), 0);
}

TEST_F(ElectionTest, WhoIsKilledIsFollowedWithinTheLeaseAndTwoRetriesAndNotEarlier) {
  add("a");
  run(1);
  add("b");
  run(60);
  kill("a");
  run(12);
  EXPECT_EQ(history, "a") << "the lease may still be held: the last renewal was up to 2 s ago";
  run(7);
  EXPECT_EQ(history, "ab");
  EXPECT_EQ(spec()["leaseTransitions"].as_int(), 1);
}

TEST_F(ElectionTest, WhoEndsInOrderIsFollowedAtOnce) {
  add("a");
  run(1);
  add("b");
  run(20);
  bool is_done = false;
  all["a"]->elector.release([&] { is_done = true; });
  leaders.erase("a");
  run(5);
  EXPECT_TRUE(is_done);
  EXPECT_EQ(history, "ab");
}

TEST_F(ElectionTest, WhoCannotRenewStopsBeforeAnotherMayLeadAndLeadsAgainLater) {
  add("a");
  run(1);
  add("b");
  run(20);
  server.on_write = [](const net::Request& r) {
    return r.identity.name == "a" ? Fault::LoseRequest : Fault::None;
  };
  run(11);
  EXPECT_TRUE(leaders.empty()) << "it has to stop at the deadline";
  EXPECT_EQ(history, "a");
  run(10);
  EXPECT_EQ(history, "ab");
  server.on_write = [](const net::Request&) { return Fault::None; };
  kill("b");
  run(20);
  EXPECT_EQ(history, "aba");
}

TEST_F(ElectionTest, ALostAnswerAndALeaseThatSomebodyDeletedCostNoLeader) {
  add("a");
  run(1);
  int writes = 0;
  server.on_write = [&](const net::Request&) {
    return ++writes % 2 == 0 ? Fault::LoseAnswer : Fault::None;
  };
  run(60);
  server.erase(kPath);
  run(60);
  EXPECT_EQ(history, "a");
  EXPECT_EQ(leaders.size(), 1u);
  EXPECT_EQ(spec()["holderIdentity"].as_string(), "a");
}

TEST_F(ElectionTest, WhoSeesAnotherNameInTheLeaseStops) {
  add("a");
  run(5);
  base::Json lease = *server.find(kPath);
  lease.make("spec.holderIdentity") = "somebody";
  server.put(kPath, lease);
  run(3);
  EXPECT_TRUE(leaders.empty());
  run(30);
  EXPECT_EQ(history, "aa") << "and contends again";
}

}  // namespace
}  // namespace pelton::control
