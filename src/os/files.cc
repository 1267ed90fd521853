// SPDX-License-Identifier: Apache-2.0
#include "os/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>

#include "os/notifier.h"

namespace pelton::os {
namespace {

/// What a File shares with the syncing thread, which may outlast it.
struct OpenFile {
  Fd fd;
  std::string path;
  /// The first failed sync's errno. The kernel reports a lost write only once and then forgets it,
  /// so we remember.
  std::atomic<int> sync_error = 0;
};

constexpr size_t kWriters = 2;

base::Status write_all(const OpenFile& file, uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n =
        ::pwrite(file.fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_status("writing " + file.path, errno);
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return base::ok();
}

class OsFile final : public world::File {
 public:
  OsFile(std::shared_ptr<OpenFile> file, Workers& syncer, Loop& loop,
         std::unique_ptr<Workers>& writers)
      : file_(std::move(file)), syncer_(syncer), loop_(loop), writers_(writers) {}

  base::Status write_at(uint64_t offset, std::string_view bytes) override {
    return write_all(*file_, offset, bytes);
  }

  void write_later(uint64_t offset, std::string_view bytes, Done done) override {
    if (!writers_) writers_ = std::make_unique<Workers>(loop_, kWriters);
    auto result = std::make_shared<base::Status>();
    writers_->run(
        [file = file_, offset, bytes, result] { *result = write_all(*file, offset, bytes); },
        [result, done = std::move(done)] { done(*result); });
  }

  base::Result<std::string> read_at(uint64_t offset, size_t size) override {
    std::string out(size, '\0');
    PELTON_ASSIGN(const size_t filled, read_into(offset, out.data(), size));
    out.resize(filled);
    return out;
  }

  base::Result<size_t> read_into(uint64_t offset, char* to, size_t size) override {
    size_t filled = 0;
    while (filled < size) {
      const ssize_t n =
          ::pread(file_->fd.get(), to + filled, size - filled, static_cast<off_t>(offset + filled));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno_status("reading " + file_->path, errno);
      if (n == 0) break;
      filled += static_cast<size_t>(n);
    }
    return filled;
  }

  base::Result<uint64_t> size() override {
    struct stat s{};
    if (::fstat(file_->fd.get(), &s) != 0) return errno_status("stat of " + file_->path, errno);
    return static_cast<uint64_t>(s.st_size);
  }

  base::Status truncate(uint64_t size) override {
    if (::ftruncate(file_->fd.get(), static_cast<off_t>(size)) != 0) {
      return errno_status("truncating " + file_->path, errno);
    }
    return base::ok();
  }

  void sync(Done done) override {
    auto result = std::make_shared<int>(0);
    syncer_.run(
        [file = file_, result] {
          if (file->sync_error == 0 && ::fdatasync(file->fd.get()) != 0) file->sync_error = errno;
          *result = file->sync_error;
        },
        [file = file_, result, done = std::move(done), alive = std::weak_ptr(alive_)] {
          if (alive.expired()) return;
          done(*result == 0 ? base::ok() : errno_status("syncing " + file->path, *result));
        });
  }

 private:
  std::shared_ptr<OpenFile> file_;
  Workers& syncer_;
  Loop& loop_;
  std::unique_ptr<Workers>& writers_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

class OsFileLock final : public world::FileLock {
 public:
  explicit OsFileLock(Fd fd) : fd_(std::move(fd)) {}

 private:
  Fd fd_;
};

class OsMappedFile final : public world::MappedFile {
 public:
  OsMappedFile(void* start, size_t size) : start_(start), size_(size) {}
  ~OsMappedFile() override { ::munmap(start_, size_); }
  OsMappedFile(const OsMappedFile&) = delete;
  OsMappedFile& operator=(const OsMappedFile&) = delete;
  std::string_view bytes() const override { return {static_cast<const char*>(start_), size_}; }

 private:
  void* start_;
  size_t size_;
};

std::string first_line_of(int fd) {
  char text[256];
  const ssize_t n = ::pread(fd, text, sizeof text, 0);
  const std::string_view all(text, static_cast<size_t>(std::max<ssize_t>(n, 0)));
  return std::string(all.substr(0, all.find('\n')));
}

}  // namespace

/// The inotify of this OsFiles; a name of its own, so that files.h need not know notifier.h.
class OsFiles::Notifier : public os::Notifier {
 public:
  using os::Notifier::Notifier;
};

OsFiles::OsFiles(Loop& loop, std::string root)
    : loop_(loop), root_(std::move(root)), syncer_(loop, 1) {}

OsFiles::~OsFiles() = default;

std::string OsFiles::resolve(const std::string& path) const {
  if (root_.empty() || path.starts_with('/')) return path;
  return root_ + "/" + path;
}

base::Result<std::unique_ptr<world::File>> OsFiles::open(const std::string& path,
                                                         world::OpenMode mode) {
  const std::string full = resolve(path);
  int flags = O_CLOEXEC | O_NOCTTY;
  switch (mode) {
    case world::OpenMode::Read:
      flags |= O_RDONLY | O_NONBLOCK;  // a FIFO without a writer would stop the loop
      break;
    case world::OpenMode::ReadWrite:
      flags |= O_RDWR | O_CREAT;
      break;
    case world::OpenMode::CreateNew:
      flags |= O_RDWR | O_CREAT | O_EXCL;
      break;
    case world::OpenMode::CreateDirect:
      flags |= O_RDWR | O_CREAT | O_EXCL | O_DIRECT;
      break;
  }
  Fd fd(::open(full.c_str(), flags, 0600));
  // A file system without O_DIRECT refuses after it has made the file.
  if (!fd.is_open() && errno == EINVAL && mode == world::OpenMode::CreateDirect) {
    fd = Fd(::open(full.c_str(), flags & ~(O_DIRECT | O_EXCL), 0600));
  }
  if (!fd.is_open()) return errno_status("opening " + full, errno);
  auto file = std::make_shared<OpenFile>();
  file->fd = std::move(fd);
  file->path = full;
  return std::unique_ptr<world::File>(
      std::make_unique<OsFile>(std::move(file), syncer_, loop_, writers_));
}

bool OsFiles::exists(const std::string& path) {
  return ::access(resolve(path).c_str(), F_OK) == 0;
}

base::Status OsFiles::make_directories(const std::string& path) {
  const std::string full = resolve(path);
  for (size_t end = 0; end != std::string::npos;) {
    end = full.find('/', end + 1);
    const std::string prefix = full.substr(0, end);
    if (prefix.empty() || ::mkdir(prefix.c_str(), 0700) == 0 || errno == EEXIST) continue;
    return errno_status("making the directory " + prefix, errno);
  }
  struct stat s{};
  if (::stat(full.c_str(), &s) != 0) return errno_status("making the directory " + full, errno);
  if (!S_ISDIR(s.st_mode)) return errno_status("making the directory " + full, ENOTDIR);
  return base::ok();
}

base::Result<std::vector<world::DirectoryEntry>> OsFiles::list(const std::string& path) {
  const std::string full = resolve(path);
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(full.c_str()), ::closedir);
  if (!dir) return errno_status("listing " + full, errno);
  std::vector<world::DirectoryEntry> entries;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat s{};
    if (::fstatat(::dirfd(dir.get()), name.c_str(), &s, AT_SYMLINK_NOFOLLOW) != 0) continue;
    entries.push_back({name, S_ISDIR(s.st_mode), static_cast<uint64_t>(s.st_size)});
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return entries;
}

base::Status OsFiles::rename(const std::string& from, const std::string& to) {
  if (::rename(resolve(from).c_str(), resolve(to).c_str()) != 0) {
    return errno_status("renaming " + resolve(from) + " to " + resolve(to), errno);
  }
  return base::ok();
}

base::Status OsFiles::link(const std::string& from, const std::string& to) {
  if (::link(resolve(from).c_str(), resolve(to).c_str()) != 0) {
    return errno_status("linking " + resolve(from) + " to " + resolve(to), errno);
  }
  return base::ok();
}

base::Status OsFiles::make_link(const std::string& target, const std::string& path) {
  if (::symlink(target.c_str(), resolve(path).c_str()) != 0) {
    return errno_status("making the link " + resolve(path), errno);
  }
  return base::ok();
}

base::Result<std::string> OsFiles::real_path(const std::string& path) {
  char found[PATH_MAX];
  if (::realpath(resolve(path).c_str(), found) == nullptr) {
    return errno_status("finding " + resolve(path), errno);
  }
  return std::string(found);
}

base::Status OsFiles::remove(const std::string& path) {
  if (::remove(resolve(path).c_str()) != 0) {
    return errno_status("removing " + resolve(path), errno);
  }
  return base::ok();
}

base::Status OsFiles::remove_tree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(resolve(path), error);
  if (error) return errno_status("removing " + resolve(path), error.value());
  return base::ok();
}

base::Result<world::Space> OsFiles::space(const std::string& path) {
  struct statvfs found = {};
  if (::statvfs(resolve(path).c_str(), &found) != 0) {
    return errno_status("asking for the space at " + resolve(path), errno);
  }
  return world::Space{found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize};
}

base::Status OsFiles::set_mode(const std::string& path, uint32_t mode) {
  if (::chmod(resolve(path).c_str(), mode) != 0) {
    return errno_status("setting the mode of " + resolve(path), errno);
  }
  return base::ok();
}

void OsFiles::sync_directory(const std::string& path, world::File::Done done) {
  auto result = std::make_shared<int>(0);
  const std::string full = resolve(path);
  syncer_.run(
      [full, result] {
        const Fd fd(::open(full.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!fd.is_open() || ::fsync(fd.get()) != 0) *result = errno;
      },
      [full, result, done = std::move(done)] {
        done(*result == 0 ? base::ok() : errno_status("syncing the directory " + full, *result));
      });
}

base::Result<std::unique_ptr<world::FileLock>> OsFiles::lock(const std::string& path,
                                                             const std::string& holder) {
  const std::string full = resolve(path);
  Fd fd(::open(full.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.is_open()) return errno_status("locking " + full, errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return errno_status("locking " + full, errno);
    return base::Status(base::Code::FailedPrecondition,
                        full + " is held by " + first_line_of(fd.get()));
  }
  const std::string text = holder + "\n";
  if (::ftruncate(fd.get(), 0) != 0 ||
      ::pwrite(fd.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return errno_status("writing " + full, errno);
  }
  return std::unique_ptr<world::FileLock>(std::make_unique<OsFileLock>(std::move(fd)));
}

base::Result<std::unique_ptr<world::FileWatch>> OsFiles::watch(const std::string& path,
                                                               std::function<void()> changed) {
  if (!notifier_) {
    auto notifier = std::make_shared<Notifier>(loop_);
    PELTON_TRY(notifier->open());
    notifier_ = std::move(notifier);
  }
  return notifier_->watch(resolve(path), std::move(changed));
}

base::Result<std::unique_ptr<world::MappedFile>> OsFiles::map(const std::string& path,
                                                              size_t size) {
  const std::string full = resolve(path);
  const Fd fd(::open(full.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat s{};
  if (!fd.is_open() || ::fstat(fd.get(), &s) != 0) return errno_status("mapping " + full, errno);
  if (size == 0 || static_cast<uint64_t>(s.st_size) < size) {
    return base::invalid_argument(full + " is shorter than " + std::to_string(size) + " bytes");
  }
  void* start = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (start == MAP_FAILED) return errno_status("mapping " + full, errno);
  return std::unique_ptr<world::MappedFile>(std::make_unique<OsMappedFile>(start, size));
}

}  // namespace pelton::os
