// SPDX-License-Identifier: Apache-2.0
// Saving one writer's part of a step durably, and committing what is complete.
//
// The order (docs/adr/0014-checkpoint-format.md): data and its sync, manifest and its sync, rename,
// sync of the directory; then, by whoever finds every writer's manifest there, the commit. A crash
// between any two leaves the step uncommitted, or committed and whole.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "checkpoint/log_file.h"
#include "decide/checkpoint/manifest.h"
#include "world/files.h"

namespace pelton::checkpoint {

struct Place {
  world::Files& files;
  std::string directory;  ///< of all checkpoints of the job
  LogFile log;
};

enum class Saved : uint8_t {
  Written,    ///< our part is durable; others' are missing
  Committed,  ///< durable as a whole, by us or by another writer
};
using SaveDone = std::function<void(base::Result<Saved>)>;

/// Writes `bytes`, the data file as it is to be (manifest.file_bytes of them; their address a
/// multiple of world::kDirectAlignment, valid and unchanged until `done`), and the manifest, whose
/// checksums are theirs; then commits if this was the last part. Sets manifest.file. Several at a
/// time are fine if they are of different steps or writers. Errors: of the disk, with the path;
/// FailedPrecondition ("Fenced") where another attempt has begun. After an error nothing of this
/// part counts.
void save_part(const Place& place, decide::checkpoint::Manifest manifest, std::string_view bytes,
               SaveDone done);

/// Commits the step in `directory` (a name such as "step-000000000020-e3") if it is complete.
/// InvalidArgument: complete in number, but the slices do not cover the tensors; says which part.
void commit_if_complete(const Place& place, const std::string& directory, SaveDone done);

/// Begins, or joins, an attempt (LogFile::begin); before it fences the attempt before, it commits
/// what that left complete and had no time to commit.
void begin_attempt(const Place& place, const decide::checkpoint::Attempt& attempt,
                   LogFile::Done done);

/// Drops and removes what retention does not keep (decide/checkpoint/log.h:decide_cleaning). By who
/// committed; `done` comes also where something could not be removed.
void clean(const Place& place, size_t keep, std::function<void()> done);

std::string data_name(uint64_t writer);      ///< "w00003.data"
std::string manifest_name(uint64_t writer);  ///< "w00003.manifest"

/// The manifests of a step's directory. DataLoss: one cannot be read; names the file.
base::Result<std::vector<decide::checkpoint::Manifest>> read_manifests(
    world::Files& files, const std::string& directory);

}  // namespace pelton::checkpoint
