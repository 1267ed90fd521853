// SPDX-License-Identifier: Apache-2.0
// Jobs that save and restore on a simulated machine which is made to fail: for tests.
//
// The content of a step follows from (epoch, step), so that a loaded byte is right or wrong by
// itself, whatever the writers believed. One round is one attempt of a job: its writers begin,
// restore, save step after step, and meet one fault.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "checkpoint/restore.h"
#include "sim/disk.h"
#include "sim/sim_world.h"

namespace pelton::checkpoint {

class KillPoints {
 public:
  explicit KillPoints(uint64_t seed);
  ~KillPoints();

  /// One attempt and its fault. False: a rule was broken; failure() says which.
  bool round();
  const std::string& failure() const { return failure_; }
  int restored() const { return restored_; }
  int committed() const { return committed_; }
  int damaged() const { return damaged_; }
  int from_memory() const { return from_memory_; }
  int from_peers() const { return from_peers_; }
  int kept() const { return kept_count_; }

 private:
  struct Writer;
  struct Attempt;
  struct Kept;
  /// A part as another machine's memory has it.
  struct Copy {
    std::string manifest, data;
  };
  using Version = decide::checkpoint::Version;
  struct PeerVersion {
    Version version;
    std::map<uint64_t, Copy> parts;  ///< by writer
    bool is_damaged = false;
  };

  void fail(std::string what);
  void begin();
  void restore(bool is_damaged);
  void save(Attempt& attempt, int64_t step);
  void save_one(Attempt& attempt, size_t writer, int64_t step, bool is_durable);
  bool copy(Writer& writer, decide::checkpoint::Manifest& manifest, char* to);
  void on_published(Attempt& attempt, Version version);
  bool has_zombie() const;
  void on_saved(Attempt& attempt, Version version, const base::Result<Saved>& saved);
  void damage();
  void keep(const Attempt& attempt, int64_t step);
  void check_kept(bool may_be_gone);
  void copy_to_peers(const Attempt& attempt, Version version);
  base::Result<base::Json> ask_peers(world::Files& files, const base::Json& question);
  decide::checkpoint::MemoryVersion named_from_peers() const;
  bool wait(const std::function<bool()>& predicate);
  std::vector<decide::checkpoint::Tensor> tensors() const;
  std::string content(const decide::checkpoint::Tensor& tensor, Version version) const;
  void check(const Restored& restored, const std::vector<std::string>& loaded);

  sim::SimWorld sim_;
  sim::SimMachine& machine_;
  base::Rng rng_;
  std::string failure_;
  int64_t generation_ = 0;
  int64_t step_ = 0;
  Version acknowledged_{-1, -1};  ///< the newest that a writer was told is committed
  Version remembered_{-1, -1};    ///< the newest that is complete in the machine's memory
  bool is_rotten_ = false;        ///< something durable may be damaged that nobody has read since
  int64_t begun_ = 0;             ///< epoch of the newest attempt that was told so
  std::unique_ptr<Attempt> current_;
  std::vector<std::unique_ptr<Attempt>> past_;  ///< the last of them may still be running
  std::unique_ptr<Kept> kept_;                  ///< what an agent keeps by a second name
  std::map<decide::checkpoint::MemoryVersion, PeerVersion> peers_;
  int restored_ = 0, committed_ = 0, damaged_ = 0, from_memory_ = 0, from_peers_ = 0;
  int kept_count_ = 0;
  double kill_in_copy_ = 0;  ///< how probable it is that a process dies while it copies
};

}  // namespace pelton::checkpoint
