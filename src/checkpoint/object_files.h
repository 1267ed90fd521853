// SPDX-License-Identifier: Apache-2.0
// An object store as far as files of checkpoints need it: paths such as "s3://bucket/prefix/log".
//
// How the operations of a checkpoint (docs/adr/0014-checkpoint-format.md) are put:
//   CreateNew, write, sync, link      PUT with If-None-Match: *
//   CreateNew, write, sync, rename    PUT
//   CreateDirect, write_later, sync   a multipart upload, straight from the caller's bytes, which
//                                     becomes an object when it is synced
//   read_into                         GET of a range
// So a file that is CreateNew stays with the process until it gets its name: an object cannot be
// renamed, and nobody else reads a file that has none. A prefix is a directory, always there. In
// the listing of the root uploads that nobody completed stand beside the objects, as half-written
// files would, and remove_tree() aborts them.
//
// Calls block until the store has answered (ObjectStore); write_later() and sync() of data do not.
// read_into() is fine on any thread. What is not needed here is Unimplemented. Paths that do not
// begin with s3:// go to the files given.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/object_store.h"
#include "world/executor.h"
#include "world/files.h"
#include "world/timers.h"

namespace pelton::checkpoint {

class ObjectFiles final : public world::Files {
 public:
  /// `executor` has kUploadsAtOnce threads. `root` is the URL of the job's checkpoints.
  ObjectFiles(world::Files& others, std::shared_ptr<ObjectStore> store, std::string root,
              std::unique_ptr<world::Executor> executor, world::Timers& timers);
  static constexpr size_t kUploadsAtOnce = 8;

  /// That the root's store is there, may be written, and honours what create() rests on
  /// (ObjectStore::check_create).
  base::Status check();

  base::Result<std::unique_ptr<world::File>> open(const std::string& path,
                                                  world::OpenMode mode) override;
  bool exists(const std::string& path) override;
  base::Status make_directories(const std::string& path) override;
  base::Result<std::vector<world::DirectoryEntry>> list(const std::string& path) override;
  base::Status rename(const std::string& from, const std::string& to) override;
  base::Status link(const std::string& from, const std::string& to) override;
  base::Status make_link(const std::string& target, const std::string& path) override;
  base::Result<std::string> real_path(const std::string& path) override;
  base::Status remove(const std::string& path) override;
  base::Status remove_tree(const std::string& path) override;
  void sync_directory(const std::string& path, world::File::Done done) override;
  base::Status set_mode(const std::string& path, uint32_t mode) override;
  base::Result<world::Space> space(const std::string& path) override;
  base::Result<std::unique_ptr<world::FileLock>> lock(const std::string& path,
                                                      const std::string& holder) override;
  base::Result<std::unique_ptr<world::FileWatch>> watch(const std::string& path,
                                                        std::function<void()> changed) override;
  base::Result<std::unique_ptr<world::MappedFile>> map(const std::string& path,
                                                       size_t size) override;

 private:
  /// The key, of a path in our bucket; InvalidArgument for another bucket.
  base::Result<std::string> key_of(const std::string& path) const;

  world::Files& others_;
  std::shared_ptr<ObjectStore> store_;
  std::string root_;
  std::shared_ptr<world::Executor> executor_;
  world::Timers& timers_;
  /// Files that have no name in the store yet, by path; shared with those that are open.
  std::map<std::string, std::shared_ptr<std::string>> unnamed_;
};

}  // namespace pelton::checkpoint
