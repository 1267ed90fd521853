// SPDX-License-Identifier: Apache-2.0
#include "os/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "os/fd.h"

namespace pelton::os {
namespace {

class Mapping final : public world::Region {
 public:
  Mapping(char* data, size_t size) : Region(data, size) {}
  ~Mapping() override {
    if (size_ != 0) ::munmap(data_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
};

base::Result<std::unique_ptr<world::Region>> map_fd(int fd, size_t size, int protection, int flags,
                                                    const std::string& path) {
  if (size == 0) return std::unique_ptr<world::Region>(std::make_unique<Mapping>(nullptr, 0));
  void* const data = ::mmap(nullptr, size, protection, flags, fd, 0);
  if (data == MAP_FAILED) return errno_status("mapping " + path, errno);
  return std::unique_ptr<world::Region>(std::make_unique<Mapping>(static_cast<char*>(data), size));
}

}  // namespace

base::Result<std::unique_ptr<world::Region>> OsSharedMemory::map(const std::string& path,
                                                                 size_t size) {
  constexpr int kProtection = PROT_READ | PROT_WRITE;
  Fd fd;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (!path.empty()) {
    fd = Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd.is_open()) return errno_status("opening " + path, errno);
    if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
      return errno_status("resizing " + path, errno);
    }
    flags = MAP_SHARED;
    // Takes the blocks now: without them a page that cannot be had would be a SIGBUS.
    if (size != 0) {
      const int error = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(size));
      if (error != 0) return errno_status("allocating " + path, error);
    }
  }
  PELTON_ASSIGN(auto region, map_fd(fd.get(), size, kProtection, flags, path));
  if (size != 0) {
    // Huge pages where the system gives them; nothing depends on it.
    ::madvise(region->data(), size, MADV_HUGEPAGE);
    if (::madvise(region->data(), size, MADV_POPULATE_WRITE) != 0 && errno != EINVAL) {
      return errno_status("populating " + (path.empty() ? "memory" : path), errno);
    }
  }
  return region;
}

base::Result<std::unique_ptr<world::Region>> OsSharedMemory::map_read_only(
    const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) return errno_status("opening " + path, errno);
  struct stat s{};
  if (::fstat(fd.get(), &s) != 0) return errno_status("stat of " + path, errno);
  PELTON_ASSIGN(auto region,
                map_fd(fd.get(), static_cast<size_t>(s.st_size), PROT_READ, MAP_SHARED, path));
  if (region->size() != 0) ::madvise(region->data(), region->size(), MADV_POPULATE_READ);
  return region;
}

uint64_t OsSharedMemory::names_of(const std::string& path) {
  struct stat s{};
  return ::stat(path.c_str(), &s) == 0 ? s.st_nlink : 0;
}

}  // namespace pelton::os
