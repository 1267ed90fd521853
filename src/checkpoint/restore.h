// SPDX-License-Identifier: Apache-2.0
// Loading: each chunk is verified as it is copied, and taken from the next place where it is wrong.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/save.h"
#include "decide/checkpoint/restore.h"

namespace pelton::checkpoint {

/// One version of one tier, or of several: the manifests, and where their data files are.
class StepReader {
 public:
  explicit StepReader(world::Files& files) : files_(files) {}

  /// Adds the manifests of a step's directory; 0 is the fastest tier. DataLoss names the file.
  base::Status add(const std::string& directory, int tier);
  const std::vector<decide::checkpoint::Manifest>& manifests() const { return manifests_; }

  /// Fills `to`, which holds wanted.box in row order, with verified bytes only: after an error what
  /// it holds is undefined. InvalidArgument names the tensor (plan_reads); DataLoss
  /// names tensor, file and place: no tier has these bytes intact.
  base::Status read(const decide::checkpoint::Wanted& wanted, char* to);

 private:
  struct Source {
    std::string path;
    std::unique_ptr<world::File> file;
    int tier = 0;
  };
  class Chunks;
  base::Result<world::File*> open(Source& source);
  base::Status read_chunk(const decide::checkpoint::Read::Place& place, uint64_t chunk, char* to);
  base::Status read_any(const decide::checkpoint::Read& read, uint64_t chunk, char* to);

  world::Files& files_;
  std::vector<decide::checkpoint::Manifest> manifests_;
  std::vector<Source> sources_;  ///< of manifests_, by place
  std::string scratch_;
};

struct Target {
  decide::checkpoint::Wanted wanted;
  char* to = nullptr;
};

/// What was loaded.
struct Restored {
  decide::checkpoint::Version version;
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
                    RestoreDone done);

}  // namespace pelton::checkpoint
