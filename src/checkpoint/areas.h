// SPDX-License-Identifier: Apache-2.0
// Where a writer's saves are copied to: two areas, which outlive the process where its node has
// memory for them.
//
// An area is a mapped file in the node's memory (docs/adr/0015-tiers.md), and the bytes that go to
// the durable tier are written from there. Without such memory, or where there is no room in it, an
// area is memory of this process. Not thread-safe; the bytes and is_busy may be used by others.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "decide/checkpoint/manifest.h"
#include "decide/checkpoint/memory.h"
#include "world/files.h"
#include "world/shared_memory.h"

namespace pelton::checkpoint {

class Areas {
 public:
  using Version = decide::checkpoint::MemoryVersion;
  struct Area {
    std::unique_ptr<world::Region> region;
    std::string path;                   ///< of the data file; empty: memory of the process
    uint64_t file_bytes = 0;            ///< of that file
    std::optional<Version> version;     ///< what it holds, where its manifest says so
    bool has_no_room = false;           ///< in the node's memory: not tried again
    std::atomic<bool> is_busy = false;  ///< somebody reads it; set by the caller
  };

  struct Settings {
    std::string directory;  ///< of the memory tier; empty: there is none
    uint64_t writer = 0;
    int64_t generation = 0;
  };
  Areas(world::Files& files, world::SharedMemory& memory, Settings settings);

  /// Takes over what a process of the same writer left, an older generation's included, so that
  /// memory is used again and not asked for anew. Errors name the directory: it cannot be used.
  base::Status adopt();
  /// Makes both areas, as far as they are not busy, so large that saves of so many bytes wait for
  /// no memory.
  base::Status prepare(size_t bytes);
  /// What this process restored: it stays until there is something newer.
  void keep(const Version& restored) { restored_ = restored; }

  /// The area that a save of this version overwrites; nullptr where both are busy.
  Area* next(const Version& version);
  /// From here on the area holds nothing, and has room for `bytes`. A file that has a second name
  /// is an agent's, which keeps it for peers: it stays with its manifest, for the agent to remove,
  /// and another one is made, where there is room for three.
  base::Status begin(Area& area, const Version& version, size_t bytes);
  /// From here on it holds manifest's part of the version (where it is a file; sets file).
  void publish(Area& area, const Version& version, decide::checkpoint::Manifest manifest);

  std::array<Area, 2>& areas() { return areas_; }
  /// Whether there is a memory tier.
  bool is_shared() const { return !settings_.directory.empty(); }
  /// Why a save is not in the node's memory, the first time only; else empty.
  std::string take_notice();
  /// How many versions were published.
  uint64_t published() const { return published_; }

  /// Removes what generations before this writer's left: when nobody has a use for it any more.
  /// Any thread.
  void remove_older() const;

 private:
  bool is_linked(const Area& area) const;
  bool leave(Area& area, const Version& version, size_t bytes);
  base::Status make_room(Area& area, const std::string& new_path, size_t bytes);
  base::Status move_to(Area& area, const Version& version, size_t bytes);
  void note(const base::Status& why);
  std::string directory_of(const Version& version) const;
  std::string manifest_of(const Version& version) const;

  world::Files& files_;
  world::SharedMemory& memory_;
  Settings settings_;
  std::array<Area, 2> areas_;
  std::optional<Version> restored_;
  bool has_told_ = false;
  std::string notice_;
  uint64_t published_ = 0;
};

}  // namespace pelton::checkpoint
