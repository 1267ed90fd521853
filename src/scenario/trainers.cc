// SPDX-License-Identifier: Apache-2.0
#include "scenario/trainers.h"

#include <algorithm>
#include <set>
#include <utility>

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
    : timers_(timers), clock_(clock), checkers_(checkers), rng_(rng) {}

Trainers::~Trainers() = default;

void Trainers::start(const TrainingJob& what, WorkerId id, int world_size, Place place,
                     OnExit on_exit) {
  checkers_.on_worker_started(what.uid, id, place.pod_uid);
  Job& job = jobs_[what.uid];
  job.what = what;
  Group& group = job.groups[id.generation];
  group.world_size = world_size;
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
  if (job.groups.empty() && job.saved + 1 >= job.what.steps) jobs_.erase(job_uid);
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
  Duration time;
  const base::Instant now = clock_.now();
  for (const auto& [rank, worker] : group.workers) {
    if (worker.is_stopped) return;
    const Duration own = job.what.spec.step.draw(rng_);
    time = std::max(time, worker.slow_until > now ? own * kSlow : own);
  }
  if (!group.is_open) {
    if (generation < job.opened) return;  // shut out: it waits for its end
    group.is_open = true;
    job.opened = generation;
    group.next = job.saved + 1;
    time = time + kMeet;
  }
  if (group.next >= job.what.steps) {
    for (const auto& [rank, worker] : group.workers) {
      exit_later({job_uid, {generation, rank}}, Duration::milliseconds(rng_.between(1, 30)),
                 {.code = 0, .signal = {}}, std::nullopt);
    }
    return;
  }
  group.step = std::make_unique<world::Timer>(timers_);
  group.step->start(time, [this, job_uid, generation] { finish_step(job_uid, generation); });
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
  if (is_saved && generation == job.opened) job.saved = std::max(job.saved, step);
  checkers_.on_step(job_uid, generation, step, group.world_size, nodes, job.what.steps);
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
  Group& group = jobs_.at(picked->job_uid).groups.at(picked->id.generation);
  group.workers.at(picked->id.rank).slow_until = clock_.now() + span;
}

}  // namespace pelton::scenario
