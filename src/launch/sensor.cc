// SPDX-License-Identifier: Apache-2.0
#include "launch/sensor.h"

#include <algorithm>

namespace pelton::launch {
namespace {

using decide::health::Evidence;

/// Ranks of which evidence is taken at one look: each costs a few files of /proc.
constexpr size_t kSamplesPerLook = 64;

base::Instant instant_of(int64_t monotonic_ns) {
  return base::Instant() + base::Duration::nanoseconds(monotonic_ns);
}

/// None where nobody ticks, or nonsense stands there.
std::optional<base::Instant> time_of(const Tick& tick, base::Instant now) {
  if (tick.at_ns <= 0 || instant_of(tick.at_ns) > now) return std::nullopt;
  return instant_of(tick.at_ns);
}

}  // namespace

base::Instant Sensor::now() const {
  return instant_of(world_.clock.elapsed().ns());
}

base::Instant Sensor::wall_time(base::Instant since) const {
  return world_.clock.now() - (now() - since);
}

void Sensor::add(WorkerId worker) {
  if (worker.generation < generation_ || worker.rank == kCoordinator) return;
  if (worker.generation > generation_) {
    measures_restart_ = generation_ != 0;
    restarted_at_ = now();
    first_step_ = -1;
    generation_ = worker.generation;
    watch_.begin({}, now(), false);
  }
  watch_.add(worker.rank, now());
}

void Sensor::remove(WorkerId worker) {
  if (worker.generation == generation_) watch_.remove(worker.rank);
}

void Sensor::on_beat(WorkerId worker, const Beat& beat) {
  if (worker.generation != generation_) return;
  const base::Instant began = instant_of(beat.at_ns);
  watch_.on_record(worker.rank, beat.phase, beat.step, began);
  if (!measures_restart_ || beat.step < 0) return;
  if (first_step_ < 0) first_step_ = beat.step;
  if (beat.step == first_step_) return;
  watch_.set_restart_cost(began - restarted_at_);
  measures_restart_ = false;
}

std::vector<Finding> Sensor::look(bool sees_all_ranks, const WorkerOf& worker_of) {
  watch_.set_sees_all_ranks(sees_all_ranks);
  take_evidence(worker_of);
  look_at_links(sees_all_ranks);
  return watch_.findings(now());
}

void Sensor::take_evidence(const WorkerOf& worker_of) {
  const auto wanted = watch_.wants_evidence(now());
  const size_t count = std::min(wanted.size(), kSamplesPerLook);
  for (size_t i = 0; i < count; ++i) {
    const auto& [rank, in_detail] = wanted[next_sample_++ % wanted.size()];
    const Worker worker = worker_of(rank);
    if (worker.pid == 0) continue;
    const auto activity = world_.processes.activity(worker.pid, in_detail);
    if (!activity.ok()) continue;
    watch_.on_evidence(rank,
                       Evidence{.state = activity->state,
                                .processor_time = activity->processor_time,
                                .disk_bytes = activity->disk_bytes,
                                .tcp_retransmits = activity->resent,
                                .ticked = time_of(worker.tick, now()),
                                .collects_garbage = worker.tick.collects_garbage},
                       now());
  }
}

void Sensor::look_at_links(bool sees_all_ranks) {
  if (sees_all_ranks) return;  // nobody is reached by one
  const auto links = world_.network.links();
  if (!links.ok()) return;  // not known now; the next look may
  std::vector<decide::health::Link> seen;
  for (const world::Link& link : *links) seen.push_back({link.name, link.is_up});
  links_.look(seen, now());
  watch_.set_down_link(links_.down());
}

std::string next_step_of(const Finding& finding, bool is_last) {
  switch (finding.kind) {
    case Finding::Kind::Suspected:
      return "none yet: time alone is no evidence. Mark what is no step: with "
             "pelton.phase(\"eval\")";
    case Finding::Kind::Slow:
      return "its peers wait for it in each step: compare its device, its clock and its data with "
             "theirs";
    case Finding::Kind::Hung:
      break;
  }
  return "it is killed, and " + next_step_after_failure(is_last);
}

std::string next_step_after_failure(bool is_last) {
  return is_last ? "its group ends; --max-restarts N begins it again" : "its group begins again";
}

}  // namespace pelton::launch
