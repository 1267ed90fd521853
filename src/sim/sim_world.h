// SPDX-License-Identifier: Apache-2.0
// A whole world from one seed: virtual time, machines that crash, disks that lie, slow networks.
//
// Everything that happens is an event in one queue, ordered by (virtual time, order of
// registration); every latency and fault is drawn from the seed. So one seed is one history, and
// trace_hash() (over every write, message and timer) says whether two runs were the same. Nothing
// waits: a virtual hour costs what its events cost.
//
//   SimWorld sim(seed);
//   Component c(sim.world());                       // one machine, one process: enough for most
//   sim.run_for(base::Duration::seconds(5));
//   ASSERT_TRUE(sim.run_until([&] { return c.is_ready(); }, base::Duration::seconds(10)));
//
// For crashes, own the pieces: sim.add_machine("server").start() gives a SimProcess whose world()
// the components take. After kill() or crash() nothing reaches those components any more and what
// they still do has no effect; destroy them, start() another process, and build them anew.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "world/world.h"

namespace pelton::sim {

class SimDisk;
class SimMachine;
class SimNetwork;
class SimProcess;
class SimWorld;

/// What a spawned program does in this world.
struct ScriptedProgram {
  base::Duration duration;  ///< until it ends by itself
  world::ExitState exit;
  std::string output;  ///< given to on_output, or appended to stdout_path, at the end
};

/// One process: what dies together. Owned by its machine and kept, dead, until the world ends, so
/// that late destructors of its components find a (deaf) world.
class SimProcess {
 public:
  ~SimProcess();
  world::World& world() { return *world_; }
  SimMachine& machine() { return machine_; }
  bool is_alive() const { return is_alive_; }
  /// As kill -9: no callback comes any more, locks and connections end; the disk's cache stays.
  void kill();
  /// How many of its log lines had this event name.
  size_t logged(std::string_view event) const;

 private:
  friend class SimMachine;
  friend class SimWorld;
  SimProcess(SimMachine& machine, std::string name);
  SimMachine& machine_;
  bool is_alive_ = true;
  struct Parts;
  std::unique_ptr<Parts> parts_;
  std::unique_ptr<world::World> world_;
};

/// A host: its name is its network address; its disk outlives its processes.
class SimMachine {
 public:
  ~SimMachine();
  const std::string& name() const { return name_; }
  SimWorld& sim() { return sim_; }
  SimDisk& disk() { return *disk_; }
  /// A new process; several may live side by side.
  SimProcess& start(const std::string& process_name = "main");
  /// Power loss: every process dies; unsynced writes and names are dropped, torn or reordered.
  void crash();
  /// Crashes in the middle of the `n`-th disk operation from now (1: the next write, sync, rename,
  /// …), with that operation begun and not finished. 0: not any more.
  void crash_at_disk_operation(uint64_t n);
  /// What a program (argv[0]) does; one that is not known ends at once with exit code 0.
  void program(const std::string& name,
               std::function<ScriptedProgram(const world::ProcessSpec&)> fn);

 private:
  friend class SimWorld;
  friend class SimProcess;
  SimMachine(SimWorld& sim, std::string name);
  SimWorld& sim_;
  std::string name_;
  std::unique_ptr<SimDisk> disk_;
  std::map<std::string, std::function<ScriptedProgram(const world::ProcessSpec&)>> programs_;
  std::vector<std::unique_ptr<SimProcess>> processes_;
};

class SimWorld {
 public:
  explicit SimWorld(uint64_t seed);
  ~SimWorld();
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  uint64_t seed() const { return seed_; }
  /// The world of the default process on the default machine ("sim"), made when first asked for.
  world::World& world();
  SimDisk& disk();  ///< of that machine
  SimMachine& add_machine(const std::string& name);
  SimNetwork& network() { return *network_; }
  /// The harness's own timers: no crash stops them.
  world::Timers& timers();
  /// An independent stream of the seed, by name.
  base::Rng rng(std::string_view name) const { return base::Rng(seed_).fork(name); }

  /// 2026-01-01T00:00:00Z at the start; moves only by running.
  base::Instant now() const { return now_; }
  base::Duration elapsed() const;

  /// Runs the next event; false where there is none.
  bool step();
  /// Runs all events due up to `end` and moves the time there. False where max_steps was reached.
  bool run_until(base::Instant end);
  bool run_for(base::Duration span) { return run_until(now_ + span); }
  /// Runs until the predicate (asked after each event) holds; false where the virtual time limit,
  /// max_steps or the end of all events came first.
  bool run_until(const std::function<bool()>& predicate, base::Duration limit);
  /// Against livelocks: how many events one run_ call executes at most.
  void set_max_steps(uint64_t steps) { max_steps_ = steps; }
  uint64_t steps() const { return steps_; }

  /// Chains bytes into the trace. Called by all parts of the world; harnesses may add theirs.
  void trace(std::string_view kind, std::string_view bytes);
  uint64_t trace_hash() const { return trace_hash_; }
  /// The last lines logged by all processes ("12.345678s server/main store.opened {…}"), oldest
  /// first.
  std::vector<std::string> log_tail() const { return {log_tail_.begin(), log_tail_.end()}; }

  /// For the parts of the world: runs `fn` at now + delay, unless `owner` (null: nobody) is dead.
  uint64_t schedule(SimProcess* owner, base::Duration delay, std::function<void()> fn);
  void cancel(uint64_t id);
  void add_log_line(const SimProcess& process, std::string_view event, const base::Json& fields);

 private:
  struct Event {
    SimProcess* owner = nullptr;
    std::function<void()> fn;
  };
  uint64_t seed_;
  base::Instant now_;
  uint64_t next_id_ = 1;
  uint64_t steps_ = 0;
  uint64_t max_steps_ = 50'000'000;
  uint64_t trace_hash_ = 0;
  std::map<std::pair<base::Instant, uint64_t>, Event> queue_;
  std::map<uint64_t, base::Instant> deadlines_;
  std::deque<std::string> log_tail_;
  std::unique_ptr<world::Timers> harness_timers_;
  std::unique_ptr<SimNetwork> network_;
  std::vector<std::unique_ptr<SimMachine>> machines_;
  SimProcess* default_process_ = nullptr;
};

}  // namespace pelton::sim
