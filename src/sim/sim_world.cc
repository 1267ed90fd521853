// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_world.h"

#include <cstring>

#include "base/strings.h"
#include "sim/disk.h"
#include "sim/network.h"
#include "sim/process_parts.h"

namespace pelton::sim {

namespace {

constexpr base::Instant kStart = base::Instant::from_unix_seconds(1'767'225'600);  // 2026-01-01
constexpr size_t kLogTail = 400;

}  // namespace

struct SimProcess::Parts {
  Parts(SimMachine& machine, SimProcess& process, const std::string& name, base::Rng rng)
      : name(name),
        clock(machine.sim()),
        timers(machine.sim(), &process),
        files(machine.disk().files(process)),
        network(machine.sim().network().network(process)),
        processes(machine.sim(), process,
                  [&machine](const world::ProcessSpec& spec) {
                    auto found = machine.programs_.find(spec.argv[0]);
                    return found == machine.programs_.end() ? ScriptedProgram()
                                                            : found->second(spec);
                  }),
        executor(machine.sim(), process, rng.fork("executor")),
        random(rng.fork("random")),
        log(machine.sim(), process) {}
  std::string name;
  SimClock clock;
  SimTimers timers;
  std::unique_ptr<world::Files> files;
  std::unique_ptr<world::Network> network;
  SimProcesses processes;
  SimExecutor executor;
  SimRandom random;
  SimLog log;
};

SimProcess::SimProcess(SimMachine& machine, std::string name) : machine_(machine) {
  // Each process has its own streams: the count makes a restarted one differ from its predecessor.
  const std::string stream =
      machine.name() + "/" + name + "/" + std::to_string(machine.processes_.size());
  parts_ = std::make_unique<Parts>(machine, *this, name, machine.sim().rng(stream));
  world_.reset(new world::World{parts_->clock, parts_->timers, *parts_->files, *parts_->network,
                                parts_->processes, parts_->executor, parts_->random, parts_->log});
}

SimProcess::~SimProcess() = default;

void SimProcess::kill() {
  if (!std::exchange(is_alive_, false)) return;
  machine_.sim().trace("kill", machine_.name() + "/" + parts_->name);
  machine_.sim().network().on_process_death(*this);
}

size_t SimProcess::logged(std::string_view event) const {
  return parts_->log.count(event);
}

SimMachine::SimMachine(SimWorld& sim, std::string name)
    : sim_(sim),
      name_(std::move(name)),
      disk_(std::make_unique<SimDisk>(sim, name_, sim.rng("disk/" + name_))) {}

SimMachine::~SimMachine() = default;

SimProcess& SimMachine::start(const std::string& process_name) {
  processes_.emplace_back(new SimProcess(*this, process_name));
  return *processes_.back();
}

void SimMachine::crash() {
  sim_.trace("crash", name_);
  for (auto& process : processes_) process->kill();
  disk_->crash();
}

void SimMachine::crash_at_disk_operation(uint64_t n) {
  disk_->crash_at(n, [this] { crash(); });
}

void SimMachine::program(const std::string& name,
                         std::function<ScriptedProgram(const world::ProcessSpec&)> fn) {
  programs_[name] = std::move(fn);
}

SimWorld::SimWorld(uint64_t seed)
    : seed_(seed), now_(kStart), harness_timers_(std::make_unique<SimTimers>(*this, nullptr)) {
  network_ = std::make_unique<SimNetwork>(*this, rng("network"));
}

SimWorld::~SimWorld() {
  // Callbacks may own what uses the machines: they go first.
  auto queue = std::move(queue_);
  queue_.clear();
  queue.clear();
}

world::Timers& SimWorld::timers() {
  return *harness_timers_;
}

world::World& SimWorld::world() {
  if (default_process_ == nullptr) default_process_ = &add_machine("sim").start();
  return default_process_->world();
}

SimDisk& SimWorld::disk() {
  world();
  return default_process_->machine().disk();
}

SimMachine& SimWorld::add_machine(const std::string& name) {
  machines_.emplace_back(new SimMachine(*this, name));
  return *machines_.back();
}

base::Duration SimWorld::elapsed() const {
  return now_ - kStart;
}

uint64_t SimWorld::schedule(SimProcess* owner, base::Duration delay, std::function<void()> fn) {
  const uint64_t id = next_id_++;
  if (owner != nullptr && !owner->is_alive()) return id;
  const base::Instant due = now_ + std::max(delay, base::Duration());
  queue_.emplace(std::make_pair(due, id), Event{owner, std::move(fn)});
  deadlines_.emplace(id, due);
  return id;
}

void SimWorld::cancel(uint64_t id) {
  auto found = deadlines_.find(id);
  if (found == deadlines_.end()) return;
  // The callback may own objects whose destructors cancel timers: take it out first.
  auto node = queue_.extract({found->second, id});
  deadlines_.erase(found);
}

bool SimWorld::step() {
  while (!queue_.empty()) {
    auto node = queue_.extract(queue_.begin());
    deadlines_.erase(node.key().second);
    Event event = std::move(node.mapped());
    now_ = node.key().first;
    if (event.owner != nullptr && !event.owner->is_alive()) continue;
    const uint64_t words[2] = {static_cast<uint64_t>(now_.unix_ns()), node.key().second};
    char bytes[sizeof words];
    std::memcpy(bytes, words, sizeof words);
    trace("event", {bytes, sizeof bytes});
    ++steps_;
    event.fn();
    return true;
  }
  return false;
}

bool SimWorld::run_until(base::Instant end) {
  const uint64_t limit = steps_ + max_steps_;
  while (!queue_.empty() && queue_.begin()->first.first <= end) {
    if (steps_ >= limit) return false;
    step();
  }
  now_ = std::max(now_, end);
  return true;
}

bool SimWorld::run_until(const std::function<bool()>& predicate, base::Duration limit) {
  const base::Instant end = now_ + limit;
  const uint64_t step_limit = steps_ + max_steps_;
  while (!predicate()) {
    if (queue_.empty() || queue_.begin()->first.first > end || steps_ >= step_limit) return false;
    step();
  }
  return true;
}

void SimWorld::trace(std::string_view kind, std::string_view bytes) {
  trace_hash_ = base::hash64(bytes, base::hash64(kind, trace_hash_));
}

void SimWorld::add_log_line(const SimProcess& process, std::string_view event,
                            const base::Json& fields) {
  char stamp[32];
  std::snprintf(stamp, sizeof stamp, "%.6fs ", elapsed().to_seconds());
  std::string line = stamp + process.machine_.name() + "/" + process.parts_->name + " ";
  line += event;
  line += ' ';
  fields.dump_to(line);
  trace("log", line);
  if (log_tail_.size() == kLogTail) log_tail_.pop_front();
  log_tail_.push_back(std::move(line));
}

}  // namespace pelton::sim
