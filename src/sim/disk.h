// SPDX-License-Identifier: Apache-2.0
// A disk in memory that keeps what was written apart from what is durable.
//
// Writes land in a cache that every process of the machine sees at once. sync() makes a file's
// writes durable after a latency; sync_directory() its names. crash() keeps of everything unsynced
// what the seed says: nothing, all, a prefix, or single 512-byte sectors in any order; unsynced
// names (new, renamed, removed) survive or not, each on its own. Directories are durable at once.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "world/files.h"

namespace pelton::sim {

class SimProcess;
class SimWorld;

class SimDisk {
 public:
  static constexpr size_t kSector = 512;

  SimDisk(SimWorld& sim, std::string machine, base::Rng rng);

  // Faults and shape of the disk.
  void set_sync_latency(base::Duration low, base::Duration high);
  /// The n-th sync from now (1: the next) fails; what it covered may be durable or not.
  void fail_sync(uint64_t n) { fail_sync_in_ = n; }
  /// Writes that would make the sum of file sizes larger fail with ResourceExhausted, partly done.
  void set_capacity(std::optional<uint64_t> bytes) { capacity_ = bytes; }
  /// The sum of all files' sizes.
  uint64_t used_bytes() const;
  /// A directory in memory: nothing below it outlives a crash.
  void set_volatile(const std::string& directory);
  /// Flips one bit of what is durable and cached (rot). False where there is no such byte.
  bool corrupt(const std::string& path, uint64_t offset);
  /// How many writes, truncations, syncs, renames and removals were begun.
  uint64_t operations() const { return operations_; }
  void crash_at(uint64_t n, std::function<void()> crash);

  /// Drops, tears and reorders what is not durable.
  void crash();

  /// The bytes of a file as processes see them; null where there is none. Their address changes
  /// when the file becomes longer.
  std::shared_ptr<std::string> content(const std::string& path) const;
  /// How many names lead to the file that `path` names; 0: there is none.
  uint64_t names_of(const std::string& path) const;

  /// The Files of one process; paths are this disk's, relative ones from "/".
  std::unique_ptr<world::Files> files(SimProcess& process);

 private:
  friend class SimFile;
  friend class SimFiles;
  friend class SimFileWatch;
  friend class SimLock;

  struct Write {
    bool is_truncate = false;
    uint64_t offset = 0;  ///< of the write, or the new size
    std::string bytes;
  };
  struct Inode {
    uint64_t id = 0;
    std::string cached, durable;
    std::vector<Write> unsynced;
    uint64_t synced = 0;  ///< how many writes are no longer in `unsynced`
  };
  using InodePtr = std::shared_ptr<Inode>;
  /// One change of names: `from` (if any) goes, `to` (if any) becomes the inode.
  struct NameChange {
    std::string from, to;
    InodePtr inode;
  };
  struct Directory {
    std::map<std::string, InodePtr> durable;
    std::vector<NameChange> unsynced;
  };

  struct WatchEntry {
    std::string path;
    SimProcess* process = nullptr;
    std::function<void()> changed;
    bool is_pending = false;
  };

  /// Counts an operation; true where the machine just crashed in it.
  bool begin_operation(const char* kind, const std::string& path);
  bool take_sync_failure();
  base::Duration sync_latency();
  static void apply(std::string& content, const Write& write);
  void crash_inode(Inode& inode);
  void end_sync(Inode& inode, uint64_t target, bool fails, const std::string& path,
                const world::File::Done& done);
  void notify(const std::string& path);
  void change_name(const std::string& directory, NameChange change);
  static void apply_name(std::map<std::string, InodePtr>& names, const NameChange& change);

  SimWorld& sim_;
  std::string machine_;
  base::Rng rng_;
  base::Duration sync_low_ = base::Duration::microseconds(200);
  base::Duration sync_high_ = base::Duration::milliseconds(3);
  uint64_t fail_sync_in_ = 0;
  std::optional<uint64_t> capacity_;
  std::vector<std::string> volatile_;  ///< directories, with "/" at the end
  uint64_t operations_ = 0;
  uint64_t crash_in_ = 0;
  std::function<void()> crash_fn_;
  uint64_t next_inode_ = 1;
  std::map<std::string, InodePtr> names_;         ///< cached: full path -> file
  std::map<std::string, Directory> directories_;  ///< by full path
  std::map<std::string, std::pair<const SimProcess*, std::string>> locks_;
  uint64_t next_watch_ = 1;
  std::map<uint64_t, WatchEntry> watches_;
};

}  // namespace pelton::sim
