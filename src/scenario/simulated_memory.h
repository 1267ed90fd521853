// SPDX-License-Identifier: Apache-2.0
// What the memory of simulated nodes holds of checkpoints (ADR 15, 16): parts of versions, written
// by ranks, copied to peers, overwritten, and gone with their machine.
//
// A part counts once it is published, a little after its step; until then, and where its writer
// ends before, there is none. Each writer has two areas on a node, and decide_area says which
// gives way. Copies are pulled a little later still by whom replica_targets names.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "decide/checkpoint/holding.h"
#include "world/clock.h"
#include "world/timers.h"

namespace pelton::scenario {

class SimulatedMemory {
 public:
  using Version = decide::checkpoint::MemoryVersion;
  /// Both must outlive it, and whatever timers it has begun never fire after it.
  SimulatedMemory(world::Timers& timers, world::Clock& clock) : timers_(timers), clock_(clock) {}

  struct Part {
    std::string job_uid;
    Version version;
    int writer = 0, writers = 1;
    std::optional<Version> restored;  ///< what its generation went on from
  };
  /// The area that the part is going to is no part of anything any more.
  void begin(const std::string& node, const Part& part);
  /// It is published there; copies follow, on `targets`, after `copying`.
  void publish(const std::string& node, const Part& part, const std::vector<std::string>& targets,
               base::Duration copying);
  /// The machine is off.
  void lose(const std::string& node) { nodes_.erase(node); }
  void forget(const std::string& job_uid);

  /// As checkpoint/held.h reads it: the newest few versions.
  std::vector<decide::checkpoint::Holding> held(const std::string& node,
                                                const std::string& job_uid) const;
  /// Of what was published before `before`; absent: these nodes hold nothing that is whole.
  std::optional<Version> newest_whole(const std::string& job_uid,
                                      const std::set<std::string>& nodes,
                                      base::Instant before) const;
  bool is_whole(const std::string& job_uid, const std::set<std::string>& nodes,
                const Version& version) const;

 private:
  struct Held {
    int writers = 1;
    std::map<int, base::Instant> parts;  ///< writer -> when it was published
  };
  using Versions = std::map<Version, Held>;

  void make_room(Versions& versions, const Part& part);
  void put(const std::string& node, const Part& part);

  world::Timers& timers_;
  world::Clock& clock_;
  std::map<std::string, std::map<std::string, Versions>> nodes_;  ///< by node, then job
};

}  // namespace pelton::scenario
