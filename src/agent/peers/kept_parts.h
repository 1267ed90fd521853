// SPDX-License-Identifier: Apache-2.0
// What this node's agent keeps of its own parts, whatever newer steps its workers save: by a second
// name of the data file, below .sending in the job's checkpoints. Who saves there leaves a file
// with two names as it is, and its manifest with it (checkpoint/areas.h).
#pragma once
#include <set>
#include <string>

#include "agent/peers/part_id.h"
#include "world/files.h"

namespace pelton::agent {

class KeptParts {
 public:
  static constexpr const char* kDirectory = ".sending";

  /// `checkpoints` is the job's directory of them. `files` must outlive it.
  KeptParts(world::Files& files, std::string checkpoints);

  /// Takes over what a dead agent kept.
  base::Status adopt();
  /// False: the part has given way to a newer one, or is not here.
  bool keep(const PartId& part);
  bool has(const PartId& part) const { return parts_.contains(part); }
  bool has(const decide::checkpoint::MemoryVersion& version) const;
  bool has_any_but(const decide::checkpoint::MemoryVersion& version) const;
  void release(const decide::checkpoint::MemoryVersion& version);
  void release_all_but(const decide::checkpoint::MemoryVersion& version);
  /// Those that somebody has taken away, by their manifest.
  void release_gone();

 private:
  std::string name_of(const PartId& part) const;
  bool is_there(const PartId& part) const;
  template <typename Predicate>
  void release_if(const Predicate& predicate);

  world::Files& files_;
  std::string checkpoints_;
  std::set<PartId> parts_;
};

}  // namespace pelton::agent
