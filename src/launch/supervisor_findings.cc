// SPDX-License-Identifier: Apache-2.0
// What the supervisor makes of what its sensor finds, and how people hear of it.
#include <algorithm>

#include "base/strings.h"
#include "launch/supervisor.h"

namespace pelton::launch {
namespace {

using base::Json;
using decide::recovery::PodReport;
using decide::recovery::WorkerState;

/// A finding that comes and goes in one generation is said again after so long.
constexpr base::Duration kSayAgain = base::Duration::seconds(60);
/// From an exception that nobody caught to the process's end: time to write what is buffered.
constexpr base::Duration kEndsWithin = base::Duration::seconds(5);

}  // namespace

void Supervisor::watch_ranks() {
  findings_.clear();
  if (!follower_.is_running_generation()) return;
  const int64_t generation = follower_.generation()->number;
  const Place where = place();
  const auto found = sensor_.look(where.world_size == where.local_world_size, [&](int rank) {
    const WorkerId worker{generation, rank};
    return Sensor::Worker{pid_of(worker), pages_.tick(worker)};
  });
  for (const Finding& finding : found) {
    if (follower_.is_running_generation()) on_finding(finding);  // the first hang ends it
  }
}

void Supervisor::on_finding(const Finding& finding) {
  const base::Duration now = world_.clock.elapsed();
  const int64_t generation = follower_.generation()->number;
  std::erase_if(said_, [&](const auto& said) { return std::get<0>(said.first) != generation; });
  const auto said = said_.try_emplace({generation, finding.rank, finding.cause}, now);
  const bool acts = finding.kind == Finding::Kind::Hung;
  if (said.second || acts || now - said.first->second > kSayAgain) {
    said.first->second = now;
    world_.log.write(acts ? base::Severity::Error : base::Severity::Warning,
                     "launch." + base::to_lower(decide::health::kind_name(finding.kind)),
                     Json::object({{"rank", finding.rank},
                                   {"cause", finding.cause},
                                   {"detail", finding.detail},
                                   {"next", next_step_of(finding, is_last_)}}));
  }
  if (!acts) {
    findings_.emplace(finding.rank, finding);
    return;
  }
  const WorkerId worker{follower_.generation()->number, finding.rank};
  const Hang hang{finding.cause, finding.detail, sensor_.wall_time(finding.since)};
  pages_.note_hang(worker, hang);
  act(follower_.on_hang(worker, hang, world_.clock.now()));
}

void Supervisor::on_beat(WorkerId worker, const Beat& beat) {
  sensor_.on_beat(worker, beat);
  if (beat.phase == Phase::Exit) {
    endings_.emplace(worker, base::Duration::nanoseconds(beat.at_ns));
  } else {
    endings_.erase(worker);
  }
}

/// Who has raised an exception and does not end of it, such as one that waits for its peers at its
/// exit, while they wait for it.
void Supervisor::watch_endings() {
  const base::Duration now = world_.clock.elapsed();
  for (auto ending = endings_.begin(); ending != endings_.end();) {
    const auto [worker, since] = *ending++;
    if (now - since < kEndsWithin) continue;
    endings_.erase(worker);
    const LastWords words = pages_.last_words(worker).value_or(LastWords{"Exit", "", ""});
    const Hang hang{.cause = words.type,
                    .detail = words.message + (words.where.empty() ? "" : " (" + words.where + ")"),
                    .since = world_.clock.now() - (now - since),
                    .has_raised = true};
    pages_.note_hang(worker, hang);
    act(follower_.on_hang(worker, hang, world_.clock.now()));
  }
}

/// Suspicions and stragglers: whoever sees all pods may make more of them.
void Supervisor::add_findings(PodReport& report) const {
  for (auto& worker : report.workers) {
    const auto found = findings_.find(worker.rank);
    if (found == findings_.end() || worker.state != WorkerState::Running) continue;
    worker.cause = found->second.cause;
    worker.detail = found->second.detail;
    if (found->second.kind != Finding::Kind::Slow) continue;
    worker.state = WorkerState::Slow;
    worker.since = sensor_.wall_time(found->second.since);
  }
}

/// Exits and exceptions, once each.
void Supervisor::say_failures(const PodReport& report) const {
  for (const auto& worker : report.workers) {
    if (!is_failure(worker.state) || worker.state == WorkerState::Hung) continue;
    const bool was_said =
        report.generation == told_.generation &&
        std::any_of(told_.workers.begin(), told_.workers.end(), [&](const auto& old) {
          return old.rank == worker.rank && is_failure(old.state);
        });
    if (was_said) continue;
    world_.log.error("launch." + base::to_lower(state_name(worker.state)),
                     {{"rank", worker.rank},
                      {"cause", worker.cause},
                      {"detail", worker.detail},
                      {"next", next_step_after_failure(is_last_)}});
  }
}

}  // namespace pelton::launch
