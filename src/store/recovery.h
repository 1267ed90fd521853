// SPDX-License-Identifier: Apache-2.0
// From files to state: which files count, in which order, and when to refuse.
//
// The newest snapshot-N is the state before log-N; the logs from N on follow without a gap. Only
// the last log may end in a damaged frame (a write that no sync confirmed). Anything else that does
// not fit is DataLoss, and the store does not start: what was acknowledged is not silently dropped.
#pragma once
#include <string>
#include <vector>

#include "store/state.h"
#include "world/files.h"

namespace pelton::store {

/// "DIR/log-0000002a", "DIR/snapshot-0000002a".
std::string log_path(const std::string& directory, uint64_t number);
std::string snapshot_path(const std::string& directory, uint64_t number);

struct Recovered {
  State state;
  uint64_t last_log = 0;  ///< 0: there is none; the next log is one above
  /// The last log's good part, and its last frame's bytes and place. They may be in the cache only:
  /// the opener writes that frame again and syncs before it shows anything.
  uint64_t last_log_end = 0;
  uint64_t last_frame_offset = 0;
  std::string last_frame;
  uint64_t log_bytes = 0;             ///< in all logs that were read
  size_t logs = 0;                    ///< how many
  std::vector<std::string> obsolete;  ///< paths that may be removed
};

/// Reads everything; changes nothing. DataLoss names file, offset, last good revision and the ways
/// to go on.
base::Result<Recovered> recover(world::Files& files, const std::string& directory,
                                const Options& options);

}  // namespace pelton::store
