// SPDX-License-Identifier: Apache-2.0
#include "agent/worker_events.h"

#include <fmt/format.h>

#include <algorithm>

namespace pelton::agent {
namespace {

using decide::recovery::PodReport;
using decide::recovery::WorkerReport;
using decide::recovery::WorkerState;

bool is_finding(const WorkerReport& worker) {
  if (is_failure(worker.state) || worker.state == WorkerState::Slow) return true;
  return worker.state == WorkerState::Running && !worker.cause.empty() && worker.cause != "Ended";
}

bool was_told(const PodReport& before, const PodReport& now, const WorkerReport& worker) {
  return before.generation == now.generation &&
         std::any_of(before.workers.begin(), before.workers.end(), [&](const WorkerReport& old) {
           return old.rank == worker.rank && old.state == worker.state && old.cause == worker.cause;
         });
}

}  // namespace

std::vector<WorkerEvent> events_between(const PodReport& before, const PodReport& now) {
  std::vector<WorkerEvent> events;
  for (const WorkerReport& worker : now.workers) {
    if (!is_finding(worker) || was_told(before, now, worker)) continue;
    const bool is_suspicion = worker.state == WorkerState::Running;
    events.push_back(
        {fmt::format("Worker{}", is_suspicion ? "Suspected" : state_name(worker.state)),
         fmt::format("rank {}, generation {}: {}{}{}", worker.rank, now.generation, worker.cause,
                     worker.detail.empty() ? "" : ": ", worker.detail)});
  }
  return events;
}

}  // namespace pelton::agent
