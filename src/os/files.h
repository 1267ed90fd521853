// SPDX-License-Identifier: Apache-2.0
// Files of the Linux file system. Syncing is done by one thread, in order, write_later() by two
// (enough to keep a disk busy), made when first needed; all else at once.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "os/loop.h"
#include "os/workers.h"
#include "world/files.h"

namespace pelton::os {

class OsFiles final : public world::Files {
 public:
  /// Relative paths start at `root`; empty: the working directory.
  OsFiles(Loop& loop, std::string root);
  ~OsFiles() override;

  /// A File that is destroyed is not told any more about a sync under way.
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
  base::Status set_mode(const std::string& path, uint32_t mode) override;
  base::Result<world::Space> space(const std::string& path) override;
  void sync_directory(const std::string& path, world::File::Done done) override;
  base::Result<std::unique_ptr<world::FileLock>> lock(const std::string& path,
                                                      const std::string& holder) override;
  base::Result<std::unique_ptr<world::FileWatch>> watch(const std::string& path,
                                                        std::function<void()> changed) override;
  base::Result<std::unique_ptr<world::MappedFile>> map(const std::string& path,
                                                       size_t size) override;

 private:
  std::string resolve(const std::string& path) const;

  Loop& loop_;
  std::string root_;
  Workers syncer_;
  std::unique_ptr<Workers> writers_;
  class Notifier;
  std::shared_ptr<Notifier> notifier_;  ///< made by the first watch; watches hold it weakly
};

}  // namespace pelton::os
