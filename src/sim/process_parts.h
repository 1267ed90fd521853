// SPDX-License-Identifier: Apache-2.0
// The small parts of a simulated process: clock, timers, executor, randomness, log, programs.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "sim/sim_world.h"

namespace pelton::sim {

class SimClock final : public world::Clock {
 public:
  explicit SimClock(SimWorld& sim) : sim_(sim) {}
  base::Instant now() override { return sim_.now(); }
  base::Duration elapsed() override { return sim_.elapsed(); }

 private:
  SimWorld& sim_;
};

/// Timers of one process (null: of the harness); they end with it.
class SimTimers final : public world::Timers {
 public:
  SimTimers(SimWorld& sim, SimProcess* owner) : sim_(sim), owner_(owner) {}
  Id after(base::Duration delay, std::function<void()> fn) override {
    return sim_.schedule(owner_, delay, std::move(fn));
  }
  void cancel(Id id) override { sim_.cancel(id); }

 private:
  SimWorld& sim_;
  SimProcess* owner_;
};

/// Does the work at once, reports it a little later.
class SimExecutor final : public world::Executor {
 public:
  SimExecutor(SimWorld& sim, SimProcess& owner, base::Rng rng)
      : sim_(sim), owner_(owner), rng_(rng) {}
  void run(std::function<void()> work, std::function<void()> done) override;

 private:
  SimWorld& sim_;
  SimProcess& owner_;
  base::Rng rng_;
};

class SimRandom final : public world::Random {
 public:
  explicit SimRandom(base::Rng rng) : rng_(rng) {}
  std::string bytes(size_t size) override;

 private:
  base::Rng rng_;
};

/// Counts lines by event and chains them into the trace.
class SimLog final : public base::Log {
 public:
  SimLog(SimWorld& sim, const SimProcess& owner) : sim_(sim), owner_(owner) {}
  void write(base::Severity severity, std::string_view event, const base::Json& fields) override;
  size_t count(std::string_view event) const;

 private:
  SimWorld& sim_;
  const SimProcess& owner_;
  std::map<std::string, size_t, std::less<>> counts_;
};

/// Runs the scripted programs of the process's machine.
class SimProcesses final : public world::Processes {
 public:
  using Find = std::function<ScriptedProgram(const world::ProcessSpec&)>;
  SimProcesses(SimWorld& sim, SimProcess& owner, Find find);
  ~SimProcesses() override;
  base::Result<std::unique_ptr<world::Process>> spawn(
      world::ProcessSpec spec, std::function<void(world::ExitState)> on_exit) override;
  base::Result<uint64_t> start_ticks(int pid) override;
  /// A scripted program sleeps, and uses nothing.
  base::Result<world::ProcessActivity> activity(int pid, bool with_sockets) override;
  base::Result<std::unique_ptr<world::Process>> attach(
      int pid, uint64_t start_ticks, std::function<void(world::ExitState)> on_exit) override;
  // A scripted program forks nothing, so nobody loses a parent here.
  base::Status keep_orphans() override { return base::ok(); }
  base::Result<std::unique_ptr<world::Process>> adopt(
      int pid, std::function<void(world::ExitState)> on_exit) override;
  std::vector<int> orphans() override { return {}; }

  struct Child;

 private:
  void finish(const std::shared_ptr<Child>& child, world::ExitState state);
  friend class SimChildHandle;

  SimWorld& sim_;
  SimProcess& owner_;
  Find find_;
  int next_pid_ = 1000;
  std::map<int, std::shared_ptr<Child>> children_;
};

}  // namespace pelton::sim
