// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>

#include "sim/disk.h"
#include "sim/network.h"
#include "sim/sim_world.h"

namespace pelton::sim {
namespace {

using base::Duration;

TEST(SimWorld, RunsTimersInTheOrderOfTimeThenRegistration) {
  SimWorld sim(1);
  std::string order;
  sim.world().timers.after(Duration::seconds(2), [&] { order += 'c'; });
  sim.world().timers.after(Duration::seconds(1), [&] { order += 'a'; });
  sim.world().timers.after(Duration::seconds(1), [&] { order += 'b'; });
  const auto gone = sim.world().timers.after(Duration::seconds(1), [&] { order += 'x'; });
  sim.world().timers.cancel(gone);
  ASSERT_TRUE(sim.run_for(Duration::seconds(3)));
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(sim.elapsed(), Duration::seconds(3));
}

TEST(SimWorld, KillsEveryCallbackOfADeadProcess) {
  SimWorld sim(1);
  SimMachine& machine = sim.add_machine("m");
  SimProcess& doomed = machine.start();
  int calls = 0;
  doomed.world().timers.after(Duration::seconds(2), [&] { ++calls; });
  doomed.world().executor.run([] {}, [&] { ++calls; });
  sim.timers().after(Duration::nanoseconds(1), [&] { doomed.kill(); });
  sim.run_for(Duration::seconds(5));
  EXPECT_EQ(calls, 0);
}

uint64_t trace_of(uint64_t seed) {
  SimWorld sim(seed);
  auto& world = sim.world();
  auto file = world.files.open("/f", world::OpenMode::ReadWrite).value();
  EXPECT_TRUE(file->write_at(0, "abc").ok());
  for (int i = 0; i < 3; ++i) file->sync([](base::Status) {});
  world.log.info("event", {{"uuid", world.random.uuid()}});
  sim.run_for(Duration::seconds(1));
  return sim.trace_hash();
}

TEST(SimWorld, HasOneTracePerSeed) {
  EXPECT_EQ(trace_of(7), trace_of(7));
  EXPECT_NE(trace_of(7), trace_of(8));
}

TEST(SimDisk, KeepsWhatWasSyncedAndMayDropTearOrReorderTheRest) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SimWorld sim(seed);
    SimMachine& machine = sim.add_machine("m");
    SimProcess* process = &machine.start();
    const std::string synced(1024, 's');
    {
      auto file = process->world().files.open("/f", world::OpenMode::ReadWrite).value();
      ASSERT_TRUE(file->write_at(0, synced).ok());
      int durable = 0;
      file->sync([&](base::Status s) { durable += s.ok(); });
      process->world().files.sync_directory("/", [&](base::Status s) { durable += s.ok(); });
      sim.run_for(Duration::seconds(1));
      ASSERT_EQ(durable, 2);
      ASSERT_TRUE(file->write_at(1024, std::string(1024, 'a')).ok());
      ASSERT_TRUE(file->write_at(2048, std::string(512, 'b')).ok());
    }
    machine.crash();
    process = &machine.start();
    auto bytes = process->world().files.read("/f");
    ASSERT_TRUE(bytes.ok());
    ASSERT_EQ(bytes->substr(0, 1024), synced);
    std::string shape;
    for (size_t at = 1024; at < bytes->size(); at += SimDisk::kSector) {
      const char c = (*bytes)[at];
      shape += c == 0 ? '0' : c;
    }
    outcomes.insert(shape);
  }
  EXPECT_EQ(outcomes.count(""), 1u);     // dropped
  EXPECT_EQ(outcomes.count("aab"), 1u);  // all there
  EXPECT_EQ(outcomes.count("a"), 1u);    // torn
  EXPECT_EQ(outcomes.count("00b"), 1u);  // a later write without the earlier one
}

TEST(SimDisk, LosesNamesThatWereNotSynced) {
  int present = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SimWorld sim(seed);
    SimMachine& machine = sim.add_machine("m");
    auto file = machine.start().world().files.open("/new", world::OpenMode::CreateNew);
    ASSERT_TRUE(file.ok());
    machine.crash();
    present += machine.start().world().files.exists("/new");
  }
  EXPECT_GT(present, 5);
  EXPECT_LT(present, 55);
}

TEST(SimDisk, KeepsTheCacheWhenOnlyTheProcessDies) {
  SimWorld sim(1);
  SimMachine& machine = sim.add_machine("m");
  SimProcess& first = machine.start();
  auto lock = first.world().files.lock("/lock", "pid 1");
  ASSERT_TRUE(lock.ok());
  ASSERT_TRUE(first.world().files.replace("/f", "kept").ok());
  SimProcess& second = machine.start();
  EXPECT_EQ(second.world().files.lock("/lock", "pid 2").status().code(),
            base::Code::FailedPrecondition);
  first.kill();
  EXPECT_EQ(second.world().files.read("/f").value(), "kept");
  EXPECT_TRUE(second.world().files.lock("/lock", "pid 2").ok());
  EXPECT_FALSE(first.world().files.replace("/f", "from the grave").ok());
}

TEST(SimDisk, FailsWritesWhenFullAndSyncsWhenTold) {
  SimWorld sim(1);
  SimMachine& machine = sim.add_machine("m");
  auto& files = machine.start().world().files;
  machine.disk().set_capacity(100);
  auto file = files.open("/f", world::OpenMode::ReadWrite).value();
  EXPECT_EQ(file->write_at(0, std::string(200, 'x')).code(), base::Code::ResourceExhausted);
  machine.disk().fail_sync(1);
  base::Status failed, second(base::Code::Internal, "not called");
  file->sync([&](base::Status s) { failed = s; });
  file->sync([&](base::Status s) { second = s; });
  sim.run_for(Duration::seconds(1));
  EXPECT_FALSE(failed.ok());
  EXPECT_TRUE(second.ok());
}

TEST(SimDisk, CrashesInTheMiddleOfAnOperation) {
  SimWorld sim(3);
  SimMachine& machine = sim.add_machine("m");
  SimProcess& process = machine.start();
  auto file = process.world().files.open("/f", world::OpenMode::ReadWrite).value();
  machine.crash_at_disk_operation(2);
  EXPECT_TRUE(file->write_at(0, "1").ok());
  EXPECT_TRUE(process.is_alive());
  EXPECT_FALSE(file->write_at(1, "2").ok());
  EXPECT_FALSE(process.is_alive());
}

/// A server that echoes and a client that collects.
struct Echo {
  explicit Echo(SimWorld& sim)
      : server(sim.add_machine("server")), client(sim.add_machine("client")) {
    listener =
        server.start()
            .world()
            .network
            .listen({"0.0.0.0", 80},
                    [this](std::unique_ptr<world::Connection> c) {
                      accepted = std::move(c);
                      accepted->start({.on_data = [this](std::string_view b) { accepted->send(b); },
                                       .on_end = [](base::Status) {},
                                       .on_drained = {}});
                    })
            .value();
    client.start().world().network.connect(
        {"server", 80}, Duration::seconds(1),
        [this](base::Result<std::unique_ptr<world::Connection>> c) {
          if (!c.ok()) return;
          connection = std::move(c).value();
          connection->start({.on_data = [this](std::string_view b) { received += b; },
                             .on_end = [this](base::Status s) { ended = s; },
                             .on_drained = {}});
        });
  }
  SimMachine& server;
  SimMachine& client;
  std::unique_ptr<world::Listener> listener;
  std::unique_ptr<world::Connection> accepted, connection;
  std::string received;
  std::optional<base::Status> ended;
};

TEST(SimNetwork, DeliversInOrderAcrossPartitionsAndResets) {
  SimWorld sim(5);
  Echo echo(sim);
  ASSERT_TRUE(sim.run_until([&] { return echo.connection != nullptr; }, Duration::seconds(1)));
  for (int i = 0; i < 20; ++i) echo.connection->send(std::to_string(i) + ",");
  sim.run_for(Duration::seconds(1));
  EXPECT_EQ(echo.received.size(), 50u);
  sim.network().partition("client", "server");
  echo.connection->send("late");
  sim.run_for(Duration::seconds(2));
  EXPECT_EQ(echo.received.size(), 50u);
  sim.network().heal("client", "server");
  sim.run_for(Duration::seconds(1));
  EXPECT_EQ(echo.received.substr(50), "late");
  EXPECT_FALSE(echo.ended.has_value());
  sim.network().break_connections("client", "*");
  sim.run_for(Duration::seconds(1));
  ASSERT_TRUE(echo.ended.has_value());
  EXPECT_EQ(echo.ended->code(), base::Code::Unavailable);
}

TEST(SimNetwork, TellsThePeerOfADeadProcessAndRefusesWhereNobodyListens) {
  SimWorld sim(6);
  Echo echo(sim);
  ASSERT_TRUE(sim.run_until([&] { return echo.accepted != nullptr; }, Duration::seconds(1)));
  echo.server.crash();
  sim.run_for(Duration::seconds(1));
  ASSERT_TRUE(echo.ended.has_value());
  base::Code code = base::Code::Ok;
  sim.add_machine("late").start().world().network.connect(
      {"server", 80}, Duration::seconds(1), [&](auto c) { code = c.status().code(); });
  sim.run_for(Duration::seconds(2));
  EXPECT_EQ(code, base::Code::Unavailable);
}

TEST(SimProcesses, RunAScriptAndDieBySignal) {
  SimWorld sim(9);
  SimMachine& machine = sim.add_machine("m");
  machine.program("train", [](const world::ProcessSpec&) {
    return ScriptedProgram{Duration::seconds(10), {.code = 3, .signal = {}}, "done\n"};
  });
  auto& processes = machine.start().world().processes;
  int first = -1, second = -1;
  world::ProcessSpec spec;
  spec.argv = {"train"};
  auto a = processes.spawn(spec, [&](world::ExitState e) { first = e.shell_code(); }).value();
  auto b = processes.spawn(spec, [&](world::ExitState e) { second = e.shell_code(); }).value();
  sim.run_for(Duration::seconds(1));
  ASSERT_TRUE(b->signal(9).ok());
  sim.run_for(Duration::seconds(1));
  EXPECT_EQ(second, 137);
  EXPECT_EQ(first, -1);
  sim.run_for(Duration::seconds(10));
  EXPECT_EQ(first, 3);
}

}  // namespace
}  // namespace pelton::sim
