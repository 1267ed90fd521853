// SPDX-License-Identifier: Apache-2.0
// Which version is loaded, and from which tiers.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/save.h"
#include "checkpoint/step_reader.h"
#include "decide/checkpoint/memory.h"
#include "decide/checkpoint/restore.h"

namespace pelton::checkpoint {

/// What was loaded.
struct Restored {
  decide::checkpoint::Version version;
  int64_t generation = -1;               ///< that wrote it; -1: not told
  std::array<uint64_t, kTiers> bytes{};  ///< that came from each tier
  std::vector<std::string> extras;       ///< by writer
  std::vector<std::string> passed_over;  ///< newer ones that were damaged, and why; for people
};
using RestoreDone = std::function<void(base::Result<Restored>)>;

/// Loads the newest committed step that is intact; those that are not are dropped in the log with
/// the reason. The attempt has begun (begin_attempt), so all of its ranks find the same. With
/// `is_alone` false one that is damaged is dropped and told as DataLoss: peers may have loaded it,
/// so only the next attempt takes the one before it. NotFound: nothing is committed. DataLoss:
/// something is, and none of it is intact. InvalidArgument names
/// the tensor: what is asked for is not what the newest holds; nothing is dropped.
void restore_newest(const Place& place, std::vector<Target> targets, bool is_alone,
                    RestoreDone done, OnThreads on_threads = {});

}  // namespace pelton::checkpoint
