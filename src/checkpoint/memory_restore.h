// SPDX-License-Identifier: Apache-2.0
// Loading from the memory of nodes (docs/adr/0015-tiers.md), and from the tiers behind it.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/restore.h"

namespace pelton::checkpoint {

/// Asks the agent what peers hold, or for a part of theirs (docs/adr/0015-tiers.md); blocks until
/// the answer is there. Unavailable: there is no agent.
using AskPeers = std::function<base::Result<base::Json>(const base::Json& question)>;

struct Memory {
  world::Files& files;
  std::string directory;  ///< "…/checkpoint"; empty: there is none
  AskPeers ask;           ///< empty: no peers
};

/// Who restores.
struct Seeker {
  std::string job;
  int64_t generation = 0;
  int64_t epoch = 0;  ///< of the attempt in the durable tier; as generation where there is none
  uint64_t writer = 0;
};

/// Loads this version, chunk by chunk from the nearest tier that has it intact: memory, peers, the
/// durable tier (which may be absent). What is damaged in memory beyond repair is taken away there.
/// DataLoss: this version cannot be formed; FailedPrecondition: another job's, or a newer format;
/// InvalidArgument names the tensor that it does not have, or not so.
base::Result<Restored> restore_version(const Memory& memory, const Place* durable,
                                       const Seeker& seeker,
                                       const decide::checkpoint::MemoryVersion& version,
                                       const std::vector<Target>& targets, OnThreads on_threads);

/// Whom to ask what is restored.
struct Choice {
  /// By the job's generation; not taken where a later step is durable.
  std::optional<decide::checkpoint::MemoryVersion> named;
  bool is_one_node = true;  ///< all ranks see the same memory, and so may choose there themselves
  bool is_alone = true;     ///< one rank: what is damaged is passed over
};
/// Loads the version that is named; else the newest, of this node's memory where all ranks share it
/// and of the durable tier; with restore_newest()'s errors.
void restore(const Memory& memory, const Place* durable, const Seeker& seeker, const Choice& choice,
             std::vector<Target> targets, RestoreDone done, OnThreads on_threads = {});

/// The newest version that is complete in this directory, of an attempt before the seeker's own,
/// and no older than what is committed in the durable tier; absent: there is none.
/// FailedPrecondition: the directory holds another job's.
base::Result<std::optional<decide::checkpoint::MemoryVersion>> newest_in_memory(
    const Memory& memory, const Place* durable, const Seeker& seeker);
/// The same for all ranks of an attempt that share the directory, whatever happens there meanwhile:
/// the first to ask finds out for all.
base::Result<std::optional<decide::checkpoint::MemoryVersion>> agreed_in_memory(
    const Memory& memory, const Place* durable, const Seeker& seeker);

/// FailedPrecondition names the file: the directory holds another job's checkpoints, or a newer
/// format's.
base::Status check_owner(const Memory& memory, const std::string& job);
/// The highest generation of which anything is there; -1: none.
int64_t last_generation(const Memory& memory);
/// The newest version that is complete there, the seeker's own generation included.
std::optional<decide::checkpoint::MemoryVersion> held_in_memory(const Memory& memory,
                                                                const Seeker& seeker);

}  // namespace pelton::checkpoint
