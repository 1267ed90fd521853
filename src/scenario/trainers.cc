// SPDX-License-Identifier: Apache-2.0
#include "scenario/trainers.h"

#include <algorithm>
#include <set>
#include <utility>

#include "decide/checkpoint/memory.h"
#include "decide/checkpoint/replicas.h"

namespace pelton::scenario {
namespace {

using base::Duration;
using launch::LastWords;
using launch::WorkerId;

constexpr Duration kMeet = Duration::milliseconds(40);
constexpr int kSlow = 10;
constexpr double kRaisesForPeer = 0.5;

}  // namespace

Trainers::Trainers(world::Timers& timers, world::Clock& clock, TrainingCheckers& checkers,
                   base::Rng rng)
    : timers_(timers), clock_(clock), checkers_(checkers), rng_(rng), memory_(timers, clock) {}

Trainers::~Trainers() = default;

void Trainers::start(const TrainingJob& what, const decide::recovery::Generation& generation,
                     int rank, Place place, OnExit on_exit) {
  const WorkerId id{generation.number, rank};
  checkers_.on_worker_started(what.uid, id, place.pod_uid, generation.restore);
  Job& job = jobs_[what.uid];
  job.what = what;
  Group& group = job.groups[id.generation];
  group.world_size = generation.world_size();
  group.restore = generation.restore;
  group.nodes.clear();
  for (const auto& member : generation.members) {
    group.nodes.insert(group.nodes.end(), static_cast<size_t>(member.ranks), member.node);
  }
  Worker& worker = group.workers[id.rank];
  worker.place = std::move(place);
  worker.on_exit = std::move(on_exit);
  worker.timer = std::make_unique<world::Timer>(timers_);
  go_on(what.uid, id.generation);
}

void Trainers::end(const std::string& job_uid, WorkerId id, const std::string& pod_uid) {
  if (find(job_uid, id, pod_uid) != nullptr) remove(job_uid, id);
}

const Trainers::Worker* Trainers::find(const std::string& job_uid, WorkerId id,
                                       const std::string& pod_uid) const {
  const auto job = jobs_.find(job_uid);
  if (job == jobs_.end()) return nullptr;
  const auto group = job->second.groups.find(id.generation);
  if (group == job->second.groups.end()) return nullptr;
  const auto worker = group->second.workers.find(id.rank);
  const bool is_it =
      worker != group->second.workers.end() && worker->second.place.pod_uid == pod_uid;
  return is_it ? &worker->second : nullptr;
}

Trainers::Worker* Trainers::find(const std::string& job_uid, WorkerId id,
                                 const std::string& pod_uid) {
  return const_cast<Worker*>(std::as_const(*this).find(job_uid, id, pod_uid));
}

Trainers::Page Trainers::page(const std::string& job_uid, WorkerId id,
                              const std::string& pod_uid) const {
  const Worker* worker = find(job_uid, id, pod_uid);
  return worker != nullptr ? worker->page : Page();
}

bool Trainers::is_stopped(const std::string& job_uid, WorkerId id,
                          const std::string& pod_uid) const {
  const Worker* worker = find(job_uid, id, pod_uid);
  return worker != nullptr && worker->is_stopped;
}

void Trainers::remove(const std::string& job_uid, WorkerId id) {
  checkers_.on_worker_ended(job_uid, id);
  Job& job = jobs_.at(job_uid);
  Group& group = job.groups.at(id.generation);
  group.workers.erase(id.rank);
  group.step.reset();
  if (!group.workers.empty()) return on_lost(job_uid, id.generation);
  job.groups.erase(id.generation);
  if (!job.groups.empty() || !is_done(job)) return;
  memory_.forget(job_uid);
  jobs_.erase(job_uid);
}

bool Trainers::is_done(const Job& job) const {
  return job.saved && job.saved->step + 1 >= job.what.steps;
}

/// Who talks to a rank that is gone mostly finds out.
void Trainers::on_lost(const std::string& job_uid, int64_t generation) {
  Group& group = jobs_.at(job_uid).groups.at(generation);
  if (!group.is_open || std::exchange(group.has_lost, true)) return;
  if (group.next >= jobs_.at(job_uid).what.steps) return;
  for (auto& [rank, worker] : group.workers) {
    if (worker.is_stopped || !rng_.chance(kRaisesForPeer)) continue;
    exit_later({job_uid, {generation, rank}}, Duration::milliseconds(rng_.between(5, 300)),
               {.code = 1, .signal = {}},
               LastWords{"RuntimeError", "connection closed by peer", "train.py:1"});
  }
}

void Trainers::exit_later(const Pick& pick, Duration after, world::ExitState how,
                          std::optional<LastWords> words) {
  Worker& worker = jobs_.at(pick.job_uid).groups.at(pick.id.generation).workers.at(pick.id.rank);
  worker.timer->start(after, [this, pick, how, words] {
    Worker& ended = jobs_.at(pick.job_uid).groups.at(pick.id.generation).workers.at(pick.id.rank);
    const OnExit on_exit = std::move(ended.on_exit);
    const Page page = ended.page;
    // Copies: what follows destroys this timer with its captures.
    const Pick self = pick;
    const world::ExitState state = how;
    const std::optional<LastWords> last = words;
    remove(self.job_uid, self.id);
    on_exit(state, last, page);
  });
}

void Trainers::go_on(const std::string& job_uid, int64_t generation) {
  Job& job = jobs_.at(job_uid);
  Group& group = job.groups.at(generation);
  if (group.step || static_cast<int>(group.workers.size()) < group.world_size) return;
  Duration time, meeting;
  const base::Instant now = clock_.now();
  for (const auto& [rank, worker] : group.workers) {
    if (worker.is_stopped) return;
    const Duration own = job.what.spec.step.draw(rng_);
    time = std::max(time, worker.slow_until > now ? own * kSlow : own);
  }
  if (!group.is_open) {
    if (generation < job.opened) return;  // shut out: it waits for its end
    open(job_uid, generation);
    meeting = kMeet;
  }
  if (group.next >= job.what.steps) {
    for (const auto& [rank, worker] : group.workers) {
      exit_later({job_uid, {generation, rank}}, Duration::milliseconds(rng_.between(1, 30)),
                 {.code = 0, .signal = {}}, std::nullopt);
    }
    return;
  }
  group.step = std::make_unique<world::Timer>(timers_);
  group.step_takes = time;
  group.step->start(time + meeting,
                    [this, job_uid, generation] { finish_step(job_uid, generation); });
}

void Trainers::open(const std::string& job_uid, int64_t generation) {
  Job& job = jobs_.at(job_uid);
  Group& group = job.groups.at(generation);
  group.is_open = true;
  job.opened = generation;
  // As checkpoint/memory_restore.cc: all ranks see the same durable saves behind their own fence.
  const bool is_durable =
      group.restore && job.saved && decide::checkpoint::is_behind(*group.restore, job.saved->step);
  const std::optional<Version> from = is_durable ? std::nullopt : group.restore;
  group.restored = from ? from : job.saved;
  group.next = group.restored ? group.restored->step + 1 : 0;
  checkers_.on_restored(job_uid, {generation,
                                  from,
                                  job.saved ? job.saved->step : -1,
                                  {group.nodes.begin(), group.nodes.end()}});
}

/// Each rank publishes its part a little later, if it lives to; peers copy it later still.
void Trainers::save_in_memory(const std::string& job_uid, int64_t generation, int64_t step) {
  const Job& job = jobs_.at(job_uid);
  const Group& group = job.groups.at(generation);
  std::vector<decide::checkpoint::ReplicaNode> nodes;
  for (const std::string& node : group.nodes) nodes.push_back({node, ""});
  for (const auto& [rank, worker] : group.workers) {
    const SimulatedMemory::Part part{job_uid, Version{generation, step}, rank, group.world_size,
                                     group.restored};
    memory_.begin(worker.place.node, part);
    const auto targets = decide::checkpoint::replica_targets(
        nodes, worker.place.node, static_cast<int>(job.what.spec.memory_replicas));
    const Duration copying = Duration::milliseconds(rng_.between(10, 200));
    timers_.after(Duration::milliseconds(rng_.between(1, 40)),
                  [this, part, place = worker.place, targets, copying] {
                    const WorkerId id{part.version.generation, part.writer};
                    if (find(part.job_uid, id, place.pod_uid) == nullptr) return;
                    memory_.publish(place.node, part, targets, copying);
                  });
  }
}

void Trainers::finish_step(const std::string& job_uid, int64_t generation) {
  Job& job = jobs_.at(job_uid);
  Group& group = job.groups.at(generation);
  const std::unique_ptr<world::Timer> running = std::move(group.step);
  const int64_t step = group.next++;
  std::set<std::string> nodes;
  for (auto& [rank, worker] : group.workers) {
    nodes.insert(worker.place.node);
    if (worker.page.first_step < 0) {
      worker.page.first_step = step;
      worker.page.first_step_at = clock_.now();
    }
    worker.page.last_step = step;
    worker.page.last_step_at = clock_.now();
  }
  const bool is_saved =
      (step + 1) % job.what.spec.checkpoint_every == 0 || group.next >= job.what.steps;
  if (is_saved && generation == job.opened) job.saved = Version{generation, step};
  const int64_t memory_every = job.what.spec.memory_every;
  if (memory_every > 0 && (step + 1) % memory_every == 0) {
    save_in_memory(job_uid, generation, step);
  }
  checkers_.on_step(job_uid, {generation, step, group.world_size, nodes, group.step_takes},
                    job.what.steps);
  go_on(job_uid, generation);
}

// ---- faults ----

std::optional<Trainers::Pick> Trainers::pick() {
  std::vector<Pick> all;
  for (const auto& [uid, job] : jobs_) {
    for (const auto& [generation, group] : job.groups) {
      for (const auto& [rank, worker] : group.workers) {
        if (!worker.is_stopped && !worker.timer->is_pending()) {
          all.push_back({uid, {generation, rank}});
        }
      }
    }
  }
  if (all.empty()) return std::nullopt;
  return all[rng_.below(all.size())];
}

void Trainers::crash() {
  const auto picked = pick();
  if (!picked) return;
  checkers_.on_fault(picked->job_uid);
  exit_later(*picked, Duration(), {.code = {}, .signal = 9}, std::nullopt);
}

void Trainers::raise() {
  const auto picked = pick();
  if (!picked) return;
  checkers_.on_fault(picked->job_uid);
  exit_later(*picked, Duration(), {.code = 1, .signal = {}},
             LastWords{"ValueError", "loss is not finite", "train.py:2"});
}

void Trainers::fail_device(const std::string& job_uid, WorkerId id, const std::string& pod_uid) {
  if (find(job_uid, id, pod_uid) == nullptr) return;
  checkers_.on_fault(job_uid);
  exit_later({job_uid, id}, Duration::milliseconds(rng_.between(1, 30)), {.code = 1, .signal = {}},
             LastWords{"DeviceLost", "the device has fallen off the bus", "train.py:3"});
}

void Trainers::stop() {
  const auto picked = pick();
  if (!picked) return;
  checkers_.on_fault(picked->job_uid);
  Group& group = jobs_.at(picked->job_uid).groups.at(picked->id.generation);
  group.workers.at(picked->id.rank).is_stopped = true;
  group.step.reset();
}

void Trainers::stall(Duration span) {
  const auto picked = pick();
  if (!picked) return;
  checkers_.on_slowed(picked->job_uid);
  Group& group = jobs_.at(picked->job_uid).groups.at(picked->id.generation);
  group.workers.at(picked->id.rank).slow_until = clock_.now() + span;
}

}  // namespace pelton::scenario
