// SPDX-License-Identifier: Apache-2.0
// The rungs by which a broken generation can go on, each with its price. Pure.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "decide/recovery/evidence.h"
#include "decide/recovery/observed.h"

namespace pelton::decide::recovery {

/// What the rungs are priced for.
struct Trouble {
  std::vector<Member> old;                ///< the membership that is to go on, with its holes
  std::set<std::string> lost;             ///< pods of it that cannot be had
  std::set<std::string> suspects;         ///< pods that live and are to be had anew, or not at all
  std::set<std::string> without_network;  ///< of the suspects
  /// Against this very failure, in vain; of a bad node's, which says nothing of other nodes, only
  /// RestartInPlace, which stays there.
  std::set<Rung> tried;
  std::string fence;       ///< not empty: why nothing may begin now (the breaker)
  bool is_running = true;  ///< else nobody runs: restarts are no rungs
};

/// One rung, ready to be taken.
struct Plan {
  Alternative alternative;
  std::vector<Member> members;    ///< of the next generation; Waiting: who holds a place in it
  bool runs = true;               ///< else the next generation waits
  std::set<std::string> replace;  ///< pods to be deleted then
};

/// What the job may look like at most and at all: see allowed_worlds().
struct Worlds {
  int per_pod = 1;
  std::vector<int> all;  ///< largest first
  int full() const { return all.empty() ? 0 : all.front(); }
};
Worlds worlds_of(const Observed& observed);

/// Pods that may join soon without anybody's help: starting, or not made yet. (One of many times a
/// pod's ranks counts as so many pods: see scenario/condensed_members.h.)
int pods_on_the_way(const Observed& observed);

/// All rungs in the order of the ladder.
std::vector<Plan> price_ladder(const Observed& observed, const Trouble& trouble, base::Instant now);
/// The cheapest possible one; nullptr: none.
const Plan* cheapest(const std::vector<Plan>& plans);

/// Pods replaced, and generations that ran, in the window before `now`.
int replaced_in_window(const Observed& observed, base::Instant now);
int begun_in_window(const Observed& observed, base::Instant now);

}  // namespace pelton::decide::recovery
