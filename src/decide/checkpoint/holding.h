// SPDX-License-Identifier: Apache-2.0
// What the memory of a node holds of a job's checkpoints, and which of them can be restored.
//
// In memory (a node's, or its peers') the files are those of docs/adr/0014-checkpoint-format.md:
// checkpoint/step-000000000020-g3/w00003.data and .manifest, where 3 is the generation that wrote
// step 20. A part is what one writer wrote; whose memory it lies in makes no difference.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "decide/checkpoint/memory.h"

namespace pelton::decide::checkpoint {

/// Where they lie below the memory directory of a job.
inline constexpr const char* kMemorySubdirectory = "checkpoint";

std::string directory_name(const MemoryVersion& version);  ///< "step-000000000020-g3"
/// Absent: this is no directory of a version.
std::optional<MemoryVersion> version_in(std::string_view directory_name);

std::string data_name(int writer);                        ///< "w00003.data"
std::string manifest_name(int writer);                    ///< "w00003.manifest"
std::optional<int> writer_in(std::string_view manifest);  ///< of a manifest's name

/// The parts of one version that one node holds, each with its manifest.
struct Holding {
  MemoryVersion version;
  int writers = 1;         ///< that wrote the version, wherever their parts are
  std::vector<int> parts;  ///< writers, ascending
  bool operator==(const Holding&) const = default;
};

/// Who wrote a part, of how many.
struct Author {
  int writer = 0, writers = 1;
};
/// How many bytes at its end are enough for author_of().
inline constexpr size_t kEndBytes = 256;
/// From the last bytes of a manifest. InvalidArgument: it does not end as one.
base::Result<Author> author_of(std::string_view end);

/// The newest version of which the nodes together hold all parts, and that is none of `except`;
/// absent: there is none. `nodes` has what each holds.
std::optional<MemoryVersion> newest_complete(const std::vector<std::vector<Holding>>& nodes,
                                             const std::set<MemoryVersion>& except);

}  // namespace pelton::decide::checkpoint
