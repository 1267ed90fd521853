// SPDX-License-Identifier: Apache-2.0
// What a launcher does when something happens to its workers: all or none of them run.
//
// A worker that fails takes the others with it, because they wait for it in a collective that
// cannot end. The first failure is the group's result; what the others end with while they are
// being stopped says nothing. Pure: it holds no process and no clock.
#pragma once
#include <optional>
#include <vector>

#include "world/processes.h"

namespace pelton::launch {

/// What the launcher has to do next.
struct Action {
  enum class Kind {
    Start,   ///< start all workers; `number` is the attempt, from 0
    Signal,  ///< send signal `number` to every worker that still runs
    Alarm,   ///< call on_grace_over() after the grace period
    Finish,  ///< end with exit code `number`
  };
  Kind kind;
  int number = 0;
  bool operator==(const Action&) const = default;
};

class Group {
 public:
  Group(int workers, int max_restarts);

  /// The first actions.
  std::vector<Action> begin();
  /// A worker ended. Call once per worker and attempt.
  std::vector<Action> on_exit(int local_rank, const world::ExitState& how);
  /// The launcher itself got a signal.
  std::vector<Action> on_signal(int number);
  /// The workers had their time to stop.
  std::vector<Action> on_grace_over();

 private:
  std::vector<Action> stop_all(int signal);
  std::vector<Action> after_last_exit();

  int workers_;
  int max_restarts_;
  int attempt_ = 0;
  int running_ = 0;
  std::optional<int> failure_;  ///< exit code of the first failure of this attempt
  std::optional<int> ordered_;  ///< 128 + the signal that told us to stop
  bool stopping_ = false;
};

}  // namespace pelton::launch
