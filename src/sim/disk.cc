// SPDX-License-Identifier: Apache-2.0
#include "sim/disk.h"

#include <algorithm>

#include "base/strings.h"
#include "sim/sim_world.h"

namespace pelton::sim {

namespace {

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

/// Absolute, without a slash at the end and without "//" and "/./".
std::string clean(const std::string& path) {
  std::string out;
  for (std::string_view part : base::split(path, '/')) {
    if (part.empty() || part == ".") continue;
    out += '/';
    out += part;
  }
  return out.empty() ? "/" : out;
}

}  // namespace

SimDisk::SimDisk(SimWorld& sim, std::string machine, base::Rng rng)
    : sim_(sim), machine_(std::move(machine)), rng_(rng) {
  directories_["/"];
}

void SimDisk::set_sync_latency(base::Duration low, base::Duration high) {
  sync_low_ = low;
  sync_high_ = high;
}

void SimDisk::set_volatile(const std::string& directory) {
  volatile_.push_back(clean(directory) + "/");
}

uint64_t SimDisk::names_of(const std::string& path) const {
  const auto found = names_.find(clean(path));
  if (found == names_.end()) return 0;
  return static_cast<uint64_t>(std::count_if(names_.begin(), names_.end(), [&](const auto& each) {
    return each.second == found->second;
  }));
}

std::shared_ptr<std::string> SimDisk::content(const std::string& path) const {
  const auto found = names_.find(clean(path));
  if (found == names_.end()) return nullptr;
  return {found->second, &found->second->cached};
}

bool SimDisk::corrupt(const std::string& path, uint64_t offset) {
  auto found = names_.find(clean(path));
  if (found == names_.end() || offset >= found->second->cached.size()) return false;
  found->second->cached[offset] ^= 0x10;
  if (offset < found->second->durable.size()) found->second->durable[offset] ^= 0x10;
  return true;
}

void SimDisk::crash_at(uint64_t n, std::function<void()> crash) {
  crash_in_ = n;
  crash_fn_ = std::move(crash);
}

bool SimDisk::begin_operation(const char* kind, const std::string& path) {
  ++operations_;
  sim_.trace(kind, machine_ + path);
  if (crash_in_ == 0 || --crash_in_ != 0) return false;
  crash_fn_();
  return true;
}

bool SimDisk::take_sync_failure() {
  return fail_sync_in_ != 0 && --fail_sync_in_ == 0;
}

uint64_t SimDisk::used_bytes() const {
  uint64_t sum = 0;
  for (const auto& [path, inode] : names_) sum += inode->cached.size();
  return sum;
}

base::Duration SimDisk::sync_latency() {
  return base::Duration::nanoseconds(rng_.between(sync_low_.ns(), sync_high_.ns()));
}

void SimDisk::apply(std::string& content, const Write& write) {
  if (write.is_truncate) {
    content.resize(write.offset);
    return;
  }
  if (content.size() < write.offset + write.bytes.size()) {
    content.resize(write.offset + write.bytes.size());
  }
  content.replace(write.offset, write.bytes.size(), write.bytes);
}

void SimDisk::crash_inode(Inode& inode) {
  enum { kNothing, kAll, kPrefix, kSectors, kModes };
  const uint64_t mode = rng_.below(kModes);
  size_t whole = mode == kAll ? inode.unsynced.size() : 0;
  if (mode == kPrefix) whole = rng_.below(inode.unsynced.size() + 1);
  for (size_t i = 0; i < inode.unsynced.size() && mode != kNothing; ++i) {
    const Write& write = inode.unsynced[i];
    if (mode != kSectors && i > whole) break;
    const bool is_torn = mode == kSectors || i == whole;
    if (!is_torn || (write.is_truncate && rng_.chance(0.5))) {
      apply(inode.durable, write);
      continue;
    }
    // Sector by sector, as the disk may order them.
    uint64_t at = write.offset;
    while (!write.is_truncate && at < write.offset + write.bytes.size()) {
      const uint64_t end =
          std::min((at / kSector + 1) * kSector, write.offset + write.bytes.size());
      if (rng_.chance(0.5)) {
        apply(inode.durable, {false, at, write.bytes.substr(at - write.offset, end - at)});
      }
      at = end;
    }
  }
  inode.synced += inode.unsynced.size();
  inode.unsynced.clear();
}

void SimDisk::apply_name(std::map<std::string, InodePtr>& names, const NameChange& change) {
  if (!change.from.empty()) {
    auto found = names.find(change.from);
    if (found != names.end() && found->second == change.inode) names.erase(found);
  }
  if (!change.to.empty()) names[change.to] = change.inode;
}

void SimDisk::change_name(const std::string& directory, NameChange change) {
  apply_name(names_, change);
  directories_[directory].unsynced.push_back(std::move(change));
}

void SimDisk::crash() {
  crash_in_ = 0;
  fail_sync_in_ = 0;
  locks_.clear();
  for (const std::string& gone : volatile_) {
    const auto is_below = [&](const auto& entry) { return entry.first.starts_with(gone); };
    std::erase_if(names_, is_below);
    std::erase_if(directories_, is_below);
  }
  // Inodes in the order of their making: names may be lost, several may lead to one.
  std::map<uint64_t, InodePtr> inodes;
  for (auto& [path, inode] : names_) inodes[inode->id] = inode;
  for (auto& [path, directory] : directories_) {
    for (auto& [name, inode] : directory.durable) inodes[inode->id] = inode;
    for (auto& change : directory.unsynced) inodes[change.inode->id] = change.inode;
  }
  for (auto& [id, inode] : inodes) {
    if (!inode->unsynced.empty()) crash_inode(*inode);
    inode->cached = inode->durable;
  }
  names_.clear();
  for (auto& [path, directory] : directories_) {
    const uint64_t mode = rng_.below(3);  // none, all, each by chance
    for (const NameChange& change : directory.unsynced) {
      if (mode == 1 || (mode == 2 && rng_.chance(0.5))) apply_name(directory.durable, change);
    }
    directory.unsynced.clear();
    names_.insert(directory.durable.begin(), directory.durable.end());
  }
}

void SimDisk::end_sync(Inode& inode, uint64_t target, bool fails, const std::string& path,
                       const world::File::Done& done) {
  if (fails) {
    // As Linux does it: the cache keeps the bytes and calls them clean; the disk has some of them.
    crash_inode(inode);
    done(base::unavailable(path + ": the disk failed to sync"));
    return;
  }
  size_t n = 0;
  for (; n < inode.unsynced.size() && inode.synced < target; ++n, ++inode.synced) {
    apply(inode.durable, inode.unsynced[n]);
  }
  inode.unsynced.erase(inode.unsynced.begin(), inode.unsynced.begin() + static_cast<ptrdiff_t>(n));
  done(base::ok());
}

class SimFile final : public world::File {
 public:
  SimFile(SimDisk& disk, SimProcess& process, SimDisk::InodePtr inode, std::string path,
          bool is_writable)
      : disk_(disk),
        process_(process),
        inode_(std::move(inode)),
        path_(std::move(path)),
        is_writable_(is_writable) {}

  base::Status write_at(uint64_t offset, std::string_view bytes) override {
    PELTON_TRY(usable());
    if (!is_writable_) return {base::Code::Forbidden, path_ + " is open for reading"};
    SimDisk::Write write{false, offset, std::string(bytes)};
    if (disk_.capacity_) {
      const uint64_t grows =
          std::max<uint64_t>(inode_->cached.size(), offset + bytes.size()) - inode_->cached.size();
      const uint64_t used = disk_.used_bytes();
      if (used + grows > *disk_.capacity_) {
        const uint64_t room = *disk_.capacity_ > used ? *disk_.capacity_ - used : 0;
        write.bytes.resize(std::min<uint64_t>(room, write.bytes.size() / 2));
        if (!write.bytes.empty()) add(std::move(write));
        return {base::Code::ResourceExhausted, "NoSpace", path_ + ": no space left on the disk"};
      }
    }
    // What is written before a crash in this very call is in the cache and may survive.
    add(std::move(write));
    disk_.sim_.trace("bytes", bytes);
    disk_.notify(path_);
    if (disk_.begin_operation("write", path_)) return dead();
    return base::ok();
  }

  base::Result<std::string> read_at(uint64_t offset, size_t size) override {
    PELTON_TRY(usable());
    if (offset >= inode_->cached.size()) return std::string();
    return inode_->cached.substr(offset, size);
  }

  void write_later(uint64_t offset, std::string_view bytes, Done done) override {
    base::Status status = write_at(offset, bytes);
    disk_.sim_.schedule(&process_, disk_.sync_latency(),
                        [status = std::move(status), done = std::move(done)] { done(status); });
  }

  base::Result<uint64_t> size() override {
    PELTON_TRY(usable());
    return static_cast<uint64_t>(inode_->cached.size());
  }

  base::Status truncate(uint64_t size) override {
    PELTON_TRY(usable());
    add({true, size, {}});
    if (disk_.begin_operation("truncate", path_)) return dead();
    return base::ok();
  }

  void sync(Done done) override {
    if (!process_.is_alive() || disk_.begin_operation("sync", path_)) return;
    // Writes become durable in their order; an earlier sync may end before this one.
    const uint64_t target = inode_->synced + inode_->unsynced.size();
    const bool fails = disk_.take_sync_failure();
    // The file may be closed before the sync ends: the inode stays.
    disk_.sim_.schedule(
        &process_, disk_.sync_latency(),
        [&disk = disk_, inode = inode_, target, fails, path = path_, done = std::move(done)] {
          disk.end_sync(*inode, target, fails, path, done);
        });
  }

 private:
  base::Status usable() const { return process_.is_alive() ? base::ok() : dead(); }
  static base::Status dead() { return base::unavailable("this process is dead"); }
  void add(SimDisk::Write write) {
    SimDisk::apply(inode_->cached, write);
    inode_->unsynced.push_back(std::move(write));
  }
  SimDisk& disk_;
  SimProcess& process_;
  SimDisk::InodePtr inode_;
  std::string path_;
  bool is_writable_;
};

class SimLock final : public world::FileLock {
 public:
  SimLock(SimDisk& disk, const SimProcess& process, std::string path)
      : disk_(disk), process_(process), path_(std::move(path)) {}
  ~SimLock() override {
    auto found = disk_.locks_.find(path_);
    if (found != disk_.locks_.end() && found->second.first == &process_) disk_.locks_.erase(found);
  }

 private:
  SimDisk& disk_;
  const SimProcess& process_;
  std::string path_;
};

class SimMappedFile final : public world::MappedFile {
 public:
  SimMappedFile(std::shared_ptr<std::string> content, size_t size)
      : content_(std::move(content)), size_(size) {}
  std::string_view bytes() const override { return std::string_view(*content_).substr(0, size_); }

 private:
  std::shared_ptr<std::string> content_;
  size_t size_;
};

/// Polls nothing: the disk tells it.
class SimFileWatch final : public world::FileWatch {
 public:
  SimFileWatch(SimDisk& disk, uint64_t id) : disk_(disk), id_(id) {}
  ~SimFileWatch() override { disk_.watches_.erase(id_); }

 private:
  SimDisk& disk_;
  uint64_t id_;
};

void SimDisk::notify(const std::string& path) {
  for (auto& [id, watch] : watches_) {
    if (watch.path != path && watch.path != parent_of(path)) continue;
    if (std::exchange(watch.is_pending, true)) continue;
    sim_.schedule(watch.process, base::Duration::microseconds(100), [this, id = id] {
      auto found = watches_.find(id);
      if (found == watches_.end()) return;
      found->second.is_pending = false;
      auto changed = found->second.changed;
      changed();
    });
  }
}

class SimFiles final : public world::Files {
 public:
  SimFiles(SimDisk& disk, SimProcess& process) : disk_(disk), process_(process) {}

  base::Result<std::unique_ptr<world::File>> open(const std::string& raw,
                                                  world::OpenMode mode) override {
    PELTON_TRY(usable());
    const std::string path = clean(raw);
    auto found = disk_.names_.find(path);
    const bool is_new = mode == world::OpenMode::CreateNew || mode == world::OpenMode::CreateDirect;
    if (found != disk_.names_.end() && is_new) {
      return base::Status(base::Code::AlreadyExists, path + " exists");
    }
    if (found == disk_.names_.end()) {
      if (mode == world::OpenMode::Read) return base::not_found(path + ": no such file");
      PELTON_TRY(directory_exists(parent_of(path)));
      auto inode = std::make_shared<SimDisk::Inode>();
      inode->id = disk_.next_inode_++;
      disk_.change_name(parent_of(path), {{}, path, inode});
      if (disk_.begin_operation("create", path)) return dead();
      disk_.notify(path);
      found = disk_.names_.find(path);
    }
    return std::unique_ptr<world::File>(
        new SimFile(disk_, process_, found->second, path, mode != world::OpenMode::Read));
  }

  bool exists(const std::string& raw) override {
    const std::string path = clean(raw);
    return disk_.names_.count(path) != 0 || disk_.directories_.count(path) != 0;
  }

  base::Status make_directories(const std::string& raw) override {
    PELTON_TRY(usable());
    for (std::string path = clean(raw); path != "/"; path = parent_of(path)) {
      if (disk_.names_.count(path) != 0) {
        return {base::Code::FailedPrecondition, path + " is a file"};
      }
      disk_.directories_[path];
    }
    return base::ok();
  }

  base::Result<std::vector<world::DirectoryEntry>> list(const std::string& raw) override {
    PELTON_TRY(usable());
    const std::string path = clean(raw);
    PELTON_TRY(directory_exists(path));
    const std::string prefix = path == "/" ? path : path + "/";
    std::map<std::string, world::DirectoryEntry> entries;
    for (const auto& [name, inode] : disk_.names_) {
      if (parent_of(name) != path) continue;
      const std::string leaf = name.substr(prefix.size());
      entries[leaf] = {leaf, false, inode->cached.size()};
    }
    for (const auto& [name, directory] : disk_.directories_) {
      if (name == "/" || parent_of(name) != path) continue;
      const std::string leaf = name.substr(prefix.size());
      entries[leaf] = {leaf, true, 0};
    }
    std::vector<world::DirectoryEntry> sorted;
    for (auto& [leaf, entry] : entries) sorted.push_back(std::move(entry));
    return sorted;
  }

  base::Status rename(const std::string& raw_from, const std::string& raw_to) override {
    PELTON_TRY(usable());
    const std::string from = clean(raw_from), to = clean(raw_to);
    auto found = disk_.names_.find(from);
    if (found == disk_.names_.end()) return base::not_found(from + ": no such file");
    PELTON_TRY(directory_exists(parent_of(to)));
    disk_.change_name(parent_of(to), {from, to, found->second});
    if (disk_.begin_operation("rename", to)) return dead();
    disk_.notify(to);
    return base::ok();
  }

  base::Status remove(const std::string& raw) override {
    PELTON_TRY(usable());
    const std::string path = clean(raw);
    auto found = disk_.names_.find(path);
    if (found != disk_.names_.end()) {
      disk_.change_name(parent_of(path), {path, {}, found->second});
      if (disk_.begin_operation("remove", path)) return dead();
      disk_.notify(path);
      return base::ok();
    }
    PELTON_TRY(directory_exists(path));
    PELTON_ASSIGN(auto entries, list(path));
    if (!entries.empty()) return {base::Code::FailedPrecondition, path + " is not empty"};
    disk_.directories_.erase(path);
    return base::ok();
  }

  base::Status remove_tree(const std::string& raw) override {
    const std::string path = clean(raw);
    if (disk_.names_.count(path) != 0) return remove(path);
    if (disk_.directories_.count(path) == 0) return base::ok();
    PELTON_ASSIGN(auto entries, list(path));
    for (const auto& entry : entries) PELTON_TRY(remove_tree(path + "/" + entry.name));
    return remove(path);
  }

  void sync_directory(const std::string& raw, world::File::Done done) override {
    const std::string path = clean(raw);
    if (!process_.is_alive() || disk_.begin_operation("sync_directory", path)) return;
    const bool fails = disk_.take_sync_failure();
    const size_t covered = disk_.directories_[path].unsynced.size();
    disk_.sim_.schedule(&process_, disk_.sync_latency(),
                        [&disk = disk_, path, covered, fails, done = std::move(done)] {
                          if (fails)
                            return done(base::unavailable(path + ": the disk failed to sync"));
                          auto& directory = disk.directories_[path];
                          const size_t n = std::min(covered, directory.unsynced.size());
                          for (size_t i = 0; i < n; ++i) {
                            SimDisk::apply_name(directory.durable, directory.unsynced[i]);
                          }
                          directory.unsynced.erase(
                              directory.unsynced.begin(),
                              directory.unsynced.begin() + static_cast<ptrdiff_t>(n));
                          done(base::ok());
                        });
  }

  base::Status link(const std::string& raw_from, const std::string& raw_to) override {
    PELTON_TRY(usable());
    const std::string from = clean(raw_from), to = clean(raw_to);
    auto found = disk_.names_.find(from);
    if (found == disk_.names_.end()) return base::not_found(from + ": no such file");
    PELTON_TRY(directory_exists(parent_of(to)));
    if (exists(to)) return {base::Code::AlreadyExists, to + " exists"};
    disk_.change_name(parent_of(to), {{}, to, found->second});
    if (disk_.begin_operation("link", to)) return dead();
    disk_.notify(to);
    return base::ok();
  }

  base::Status make_link(const std::string& target, const std::string& path) override {
    return {base::Code::Unimplemented,
            "the simulated disk has no links; not made: " + path + " -> " + target};
  }

  base::Result<std::string> real_path(const std::string& path) override {
    PELTON_TRY(usable());
    if (!exists(path)) return base::not_found(path + ": no such file or directory");
    return clean(path);
  }

  /// A simulated disk is full when it is told so, and has no size.
  base::Result<world::Space> space(const std::string& path) override {
    PELTON_TRY(usable());
    if (!exists(path)) return base::not_found(path + ": no such file or directory");
    return world::Space{uint64_t{1} << 40, uint64_t{1} << 40};
  }

  base::Status set_mode(const std::string& path, uint32_t) override {
    PELTON_TRY(usable());
    return exists(path) ? base::ok() : base::not_found(path + ": no such file or directory");
  }

  base::Result<std::unique_ptr<world::FileLock>> lock(const std::string& raw,
                                                      const std::string& holder) override {
    PELTON_TRY(usable());
    const std::string path = clean(raw);
    auto found = disk_.locks_.find(path);
    if (found != disk_.locks_.end() && found->second.first->is_alive()) {
      return base::Status(base::Code::FailedPrecondition,
                          path + " is held by " + found->second.second);
    }
    disk_.locks_[path] = {&process_, holder};
    return std::unique_ptr<world::FileLock>(new SimLock(disk_, process_, path));
  }

  base::Result<std::unique_ptr<world::FileWatch>> watch(const std::string& raw,
                                                        std::function<void()> changed) override {
    PELTON_TRY(usable());
    const std::string path = clean(raw);
    if (!exists(path)) return base::not_found(path + ": no such file or directory");
    const uint64_t id = disk_.next_watch_++;
    disk_.watches_[id] = {path, &process_, std::move(changed), false};
    return std::unique_ptr<world::FileWatch>(new SimFileWatch(disk_, id));
  }

  base::Result<std::unique_ptr<world::MappedFile>> map(const std::string& raw,
                                                       size_t size) override {
    PELTON_TRY(usable());
    const auto found = disk_.names_.find(clean(raw));
    if (found == disk_.names_.end()) return base::not_found(raw + ": no such file");
    const SimDisk::InodePtr& inode = found->second;
    if (inode->cached.size() < size) {
      return base::invalid_argument(raw + " is shorter than " + std::to_string(size) + " bytes");
    }
    return std::unique_ptr<world::MappedFile>(
        std::make_unique<SimMappedFile>(std::shared_ptr<std::string>(inode, &inode->cached), size));
  }

 private:
  base::Status usable() const { return process_.is_alive() ? base::ok() : dead(); }
  static base::Status dead() { return base::unavailable("this process is dead"); }
  base::Status directory_exists(const std::string& path) const {
    if (disk_.directories_.count(path) != 0) return base::ok();
    return base::not_found(path + ": no such directory");
  }
  SimDisk& disk_;
  SimProcess& process_;
};

std::unique_ptr<world::Files> SimDisk::files(SimProcess& process) {
  return std::make_unique<SimFiles>(*this, process);
}

}  // namespace pelton::sim
