// SPDX-License-Identifier: Apache-2.0
// Checkpoints in the memory of nodes: names, versions, and which of them gives way.
//
// docs/adr/0015-tiers.md describes the directory. There is no log there: a version is what all
// writers of one generation saved of one step, and it counts where slices cover every tensor.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace pelton::decide::checkpoint {

/// A step as one generation wrote it, in any tier. The later generation wins, then the later step:
/// who began again from an older step left behind what came after it.
struct MemoryVersion {
  int64_t generation = 0;
  int64_t step = 0;
  auto operator<=>(const MemoryVersion&) const = default;
};

/// Whether that step of the durable tier is to be taken instead of the version in memory that a
/// record names: who named it knew only what memory holds.
bool is_behind(const MemoryVersion& named, int64_t durable_step);

/// "step-000000000020-g3", below the directory of the memory tier.
std::string memory_directory(const MemoryVersion& version);
std::optional<MemoryVersion> memory_version(std::string_view directory);

/// "3:20": generation 3, step 20 (PELTON_RESTORE, and the agreement of ranks that none told).
std::string to_text(const MemoryVersion& version);
/// Absent where the text is empty. InvalidArgument: it is anything else.
base::Result<std::optional<MemoryVersion>> parse_restore(std::string_view text);

/// Which of a writer's areas the next save overwrites, given what each holds (absent: nothing that
/// counts), the writer's own generation, and what it restored. Whatever an older generation left
/// beside that is of no use to anybody; then the oldest goes. There is at least one.
size_t decide_area(const std::vector<std::optional<MemoryVersion>>& areas, int64_t generation,
                   const std::optional<MemoryVersion>& restored);

/// What an agent answers to a question about a version: the writers of the parts that peers hold.
/// InvalidArgument: it is no such answer. Unavailable: the agent says why it has none.
base::Result<std::vector<uint64_t>> peer_parts(const base::Json& answer);
/// Ok: what was asked for lies in the local directory now.
base::Status peer_fetched(const base::Json& answer);

}  // namespace pelton::decide::checkpoint
