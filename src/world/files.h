// SPDX-License-Identifier: Apache-2.0
// Files, as far as we need them, with the truth about durability.
//
// A write reaches memory only: after a crash of the machine it may be there, be torn, or be gone,
// and later writes may survive earlier ones, until sync() reported Ok. A new, renamed or removed
// name is durable only after sync_directory(). Calls other than sync are quick and synchronous.
// Paths are absolute or relative to the world's root. Callbacks run on the loop.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace pelton::world {

/// An open file. Closing (destroying) it does not sync it; a sync under way is finished first.
class File {
 public:
  using Done = std::function<void(base::Status)>;
  virtual ~File() = default;
  virtual base::Status write_at(uint64_t offset, std::string_view bytes) = 0;
  /// Fewer bytes than asked for means the end of the file.
  virtual base::Result<std::string> read_at(uint64_t offset, size_t size) = 0;
  /// The same into memory of the caller's; how many bytes came.
  virtual base::Result<size_t> read_into(uint64_t offset, char* to, size_t size);
  /// As write_at(), off the loop: `bytes` stay valid and unchanged until `done`, which always comes
  /// (unless the process ends). Several may be under way, and end in any order.
  virtual void write_later(uint64_t offset, std::string_view bytes, Done done) = 0;
  /// How many of these keep what is behind the file busy.
  virtual size_t writes_at_once() const { return 2; }
  virtual base::Result<uint64_t> size() = 0;
  virtual base::Status truncate(uint64_t size) = 0;
  /// fdatasync: everything written before this call is durable when `done` gets Ok. After an
  /// error the state of unsynced bytes is unknown and stays so: do not retry, reopen and read.
  virtual void sync(Done done) = 0;
};

/// Held while it lives.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

/// Ends when destroyed.
class FileWatch {
 public:
  virtual ~FileWatch() = default;
};

/// The bytes of a file as they are now, whoever writes them, without a call to the system.
class MappedFile {
 public:
  virtual ~MappedFile() = default;
  /// Valid until the next call; may change while it is read. The file must not be made shorter.
  virtual std::string_view bytes() const = 0;
};

enum class OpenMode : uint8_t {
  Read,       ///< must exist
  ReadWrite,  ///< created where absent, mode 0600
  CreateNew,  ///< AlreadyExists where present, mode 0600
  /// As CreateNew, and past the page cache where the file system can do that: offset, size and
  /// address of what is written must be multiples of kDirectAlignment.
  CreateDirect,
};
inline constexpr size_t kDirectAlignment = 4096;

struct DirectoryEntry {
  std::string name;
  bool is_directory = false;
  uint64_t size = 0;
};

/// Of the file system that holds a path.
struct Space {
  uint64_t free_bytes = 0;  ///< for us
  uint64_t total_bytes = 0;
};

class Files {
 public:
  virtual ~Files() = default;
  virtual base::Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  virtual bool exists(const std::string& path) = 0;
  virtual base::Status make_directories(const std::string& path) = 0;  ///< mode 0700
  /// Sorted by name. NotFound where there is no such directory.
  virtual base::Result<std::vector<DirectoryEntry>> list(const std::string& path) = 0;
  virtual base::Status rename(const std::string& from, const std::string& to) = 0;  ///< replaces
  /// A second name for a file, on the same file system: of several who make the same name, one
  /// succeeds. AlreadyExists where there is one.
  virtual base::Status link(const std::string& from, const std::string& to) = 0;
  /// A symbolic link at `path` that says `target`, which need not exist. AlreadyExists.
  virtual base::Status make_link(const std::string& target, const std::string& path) = 0;
  /// The absolute path without any link in it. NotFound where it leads nowhere.
  virtual base::Result<std::string> real_path(const std::string& path) = 0;
  virtual base::Status remove(const std::string& path) = 0;       ///< a file or an empty directory
  virtual base::Status remove_tree(const std::string& path) = 0;  ///< absent is Ok; follows no link
  virtual void sync_directory(const std::string& path, File::Done done) = 0;
  /// The permission bits of a file or directory, e.g. 0755. A simulated world may only check that
  /// the path exists.
  virtual base::Status set_mode(const std::string& path, uint32_t mode) = 0;
  virtual base::Result<Space> space(const std::string& path) = 0;
  /// An exclusive lock that dies with the process. FailedPrecondition names the holder, as that
  /// wrote itself into the file (`holder`, one line, e.g. "pid 42").
  virtual base::Result<std::unique_ptr<FileLock>> lock(const std::string& path,
                                                       const std::string& holder) = 0;
  /// Calls `changed` after writes to the file or, for a directory, after names in it change.
  /// Several changes may be one call.
  virtual base::Result<std::unique_ptr<FileWatch>> watch(const std::string& path,
                                                         std::function<void()> changed) = 0;
  /// The first `size` bytes, to read. InvalidArgument where the file is shorter.
  virtual base::Result<std::unique_ptr<MappedFile>> map(const std::string& path, size_t size) = 0;

  /// The whole file.
  base::Result<std::string> read(const std::string& path);
  /// Puts the bytes under the name in one step (temporary file, rename), without sync.
  base::Status replace(const std::string& path, std::string_view bytes);
};

}  // namespace pelton::world
