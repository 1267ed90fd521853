// SPDX-License-Identifier: Apache-2.0
#include "sim/shared_memory.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "sim/disk.h"
#include "sim/sim_world.h"

namespace pelton::sim {
namespace {

constexpr size_t kRoom = size_t{1} << 16;

class FileRegion final : public world::Region {
 public:
  FileRegion(std::shared_ptr<void> owner, char* data, size_t size)
      : Region(data, size), owner_(std::move(owner)) {}

 private:
  std::shared_ptr<void> owner_;
};

std::unique_ptr<world::Region> own_memory(size_t size) {
  auto bytes = std::make_shared<std::vector<char>>(size);
  char* const data = bytes->data();
  return std::make_unique<FileRegion>(std::move(bytes), data, size);
}

}  // namespace

base::Result<std::unique_ptr<world::Region>> SimSharedMemory::map(const std::string& path,
                                                                  size_t size) {
  if (path.empty()) return own_memory(size);
  // The bytes that are there stay, and their address too: an older process may have mapped them.
  auto files = disk_.files(process_);
  PELTON_ASSIGN(const auto file, files->open(path, world::OpenMode::ReadWrite));
  PELTON_ASSIGN(const uint64_t before, file->size());
  disk_.content(path)->reserve(std::max(size, kRoom));
  if (before < size) PELTON_TRY(file->write_at(before, std::string(size - before, '\0')));
  if (before > size) PELTON_TRY(file->truncate(size));
  const auto content = disk_.content(path);
  return std::unique_ptr<world::Region>(
      std::make_unique<FileRegion>(content, content->data(), content->size()));
}

base::Result<std::unique_ptr<world::Region>> SimSharedMemory::map_read_only(
    const std::string& path) {
  auto files = disk_.files(process_);
  PELTON_ASSIGN(const auto file, files->open(path, world::OpenMode::Read));
  const auto content = disk_.content(path);
  return std::unique_ptr<world::Region>(
      std::make_unique<FileRegion>(content, content->data(), content->size()));
}

uint64_t SimSharedMemory::names_of(const std::string& path) {
  return disk_.names_of(path);
}

}  // namespace pelton::sim
