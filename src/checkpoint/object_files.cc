// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/object_files.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <set>
#include <utility>

namespace pelton::checkpoint {
namespace {

using base::Result;
using base::Status;
using world::OpenMode;

constexpr const char* kProbe = ".conditional-put";

bool is_ours(const std::string& path) {
  return path.starts_with(kStoreScheme);
}

Status not_here(const std::string& path, const char* what) {
  return {base::Code::Unimplemented, path + ": an object store has no " + what};
}

/// A file without a name: the bytes are here.
class UnnamedFile final : public world::File {
 public:
  UnnamedFile(std::shared_ptr<std::string> bytes, world::Timers& timers)
      : bytes_(std::move(bytes)), timers_(timers) {}

  Status write_at(uint64_t offset, std::string_view bytes) override {
    if (bytes_->size() < offset + bytes.size()) bytes_->resize(offset + bytes.size());
    bytes_->replace(offset, bytes.size(), bytes);
    return base::ok();
  }
  Result<std::string> read_at(uint64_t offset, size_t size) override {
    return offset < bytes_->size() ? bytes_->substr(offset, size) : std::string();
  }
  void write_later(uint64_t offset, std::string_view bytes, Done done) override {
    Status written = write_at(offset, bytes);
    timers_.post([done = std::move(done), written] { done(written); });
  }
  Result<uint64_t> size() override { return bytes_->size(); }
  Status truncate(uint64_t size) override {
    bytes_->resize(size);
    return base::ok();
  }
  void sync(Done done) override {
    timers_.post([done = std::move(done)] { done(base::ok()); });
  }

 private:
  std::shared_ptr<std::string> bytes_;
  world::Timers& timers_;
};

/// An object, to read.
class ObjectFile final : public world::File {
 public:
  ObjectFile(std::shared_ptr<ObjectStore> store, std::string key, std::string path)
      : store_(std::move(store)), key_(std::move(key)), path_(std::move(path)) {}

  Result<std::string> read_at(uint64_t offset, size_t size) override {
    std::string bytes(size, '\0');
    PELTON_ASSIGN(const size_t got, read_into(offset, bytes.data(), size));
    bytes.resize(got);
    return bytes;
  }
  Result<size_t> read_into(uint64_t offset, char* to, size_t size) override {
    if (offset >= end_) return size_t{0};
    PELTON_ASSIGN(const size_t got, store_->get(key_, offset, to, size));
    if (got < size) end_ = std::min<uint64_t>(end_, offset + got);
    return got;
  }
  Result<uint64_t> size() override {
    PELTON_ASSIGN(const auto size, store_->size_of(key_));
    if (!size) return base::not_found(path_ + ": there is no such object");
    return *size;
  }
  Status write_at(uint64_t, std::string_view) override { return read_only(); }
  Status truncate(uint64_t) override { return read_only(); }
  void write_later(uint64_t, std::string_view, Done done) override { done(read_only()); }
  void sync(Done done) override { done(base::ok()); }

 private:
  Status read_only() const { return not_here(path_, "way to change an object"); }

  std::shared_ptr<ObjectStore> store_;
  std::string key_, path_;
  std::atomic<uint64_t> end_ = UINT64_MAX;  ///< once known
};

/// An upload under way; shared with the threads that work for it.
struct Uploading {
  std::shared_ptr<ObjectStore> store;
  Upload upload;
  std::vector<std::shared_ptr<Result<ObjectStore::Part>>> parts;  ///< touched by the loop only
  uint64_t size = 0;
  std::atomic<bool> has_failed = false;  ///< what waits need not be tried any more
};

/// An object, to write once, from the beginning to the end.
class UploadFile final : public world::File {
 public:
  UploadFile(std::shared_ptr<Uploading> upload, const std::shared_ptr<world::Executor>& executor,
             std::string path)
      : upload_(std::move(upload)), executor_(executor), path_(std::move(path)) {}
  ~UploadFile() override {
    const auto executor = executor_.lock();  // a file may be the last thing that a loop drops
    if (is_complete_ || !executor) return;
    upload_->has_failed = true;
    executor->run(
        [upload = upload_] {
          upload->store->abort({upload->upload}).ignore("clean() aborts what is left");
        },
        [] {});
  }

  size_t writes_at_once() const override { return ObjectFiles::kUploadsAtOnce; }

  void write_later(uint64_t offset, std::string_view bytes, Done done) override {
    auto part = std::make_shared<Result<ObjectStore::Part>>(base::internal_error("not uploaded"));
    const bool is_next = offset == upload_->size;
    upload_->size += bytes.size();
    upload_->parts.push_back(part);
    const size_t number = upload_->parts.size();
    executor_.lock()->run(
        [upload = upload_, part, number, bytes, is_next, path = path_] {
          if (!is_next) {
            *part = not_here(path, "way to write an object but from its beginning on");
          } else if (upload->has_failed) {
            *part = base::unavailable(path + ": another part of it could not be uploaded");
          } else {
            *part = upload->store->upload_part(upload->upload, number, bytes);
          }
          if (!part->ok()) upload->has_failed = true;
        },
        [part, done = std::move(done)] { done(part->status()); });
  }

  void sync(Done done) override {
    is_complete_ = true;
    auto result = std::make_shared<Status>();
    std::vector<ObjectStore::Part> parts;
    for (const auto& part : upload_->parts) {
      if (part->ok()) {
        parts.push_back(part->value());
      } else if (result->ok()) {
        *result = part->error();
      }
    }
    executor_.lock()->run(
        [upload = upload_, parts = std::move(parts), result] {
          if (result->ok() && !parts.empty()) {
            *result = upload->store->complete(upload->upload, parts, upload->size);
          }
          if (result->ok() && !parts.empty()) return;
          upload->store->abort({upload->upload}).ignore("clean() aborts what is left");
          // An upload has a part at least.
          if (result->ok()) *result = upload->store->put(upload->upload.key, "");
        },
        [result, done = std::move(done)] { done(*result); });
  }

  Status write_at(uint64_t, std::string_view) override {
    return not_here(path_, "short writes; use write_later()");
  }
  Result<std::string> read_at(uint64_t, size_t) override {
    return not_here(path_, "way to read what is being uploaded");
  }
  Result<uint64_t> size() override { return upload_->size; }
  Status truncate(uint64_t) override { return not_here(path_, "way to shorten an object"); }

 private:
  std::shared_ptr<Uploading> upload_;
  std::weak_ptr<world::Executor> executor_;
  std::string path_;
  bool is_complete_ = false;
};

}  // namespace

ObjectFiles::ObjectFiles(world::Files& others, std::shared_ptr<ObjectStore> store, std::string root,
                         std::unique_ptr<world::Executor> executor, world::Timers& timers)
    : others_(others),
      store_(std::move(store)),
      root_(std::move(root)),
      executor_(std::move(executor)),
      timers_(timers) {}

Result<std::string> ObjectFiles::key_of(const std::string& path) const {
  const std::string bucket = std::string(kStoreScheme) + store_->bucket();
  if (path == bucket) return std::string();
  if (path.starts_with(bucket + "/")) return path.substr(bucket.size() + 1);
  return base::invalid_argument(path + ": is in another bucket than " + root_);
}

Status ObjectFiles::check() {
  PELTON_ASSIGN(const std::string key, key_of(root_ + "/" + kProbe));
  return store_->check_create(key);
}

Result<std::unique_ptr<world::File>> ObjectFiles::open(const std::string& path, OpenMode mode) {
  if (!is_ours(path)) return others_.open(path, mode);
  PELTON_ASSIGN(const std::string key, key_of(path));
  switch (mode) {
    case OpenMode::Read:
      // That it is there shows when it is read: a call less for each file.
      return std::unique_ptr<world::File>(std::make_unique<ObjectFile>(store_, key, path));
    case OpenMode::CreateNew: {
      auto& bytes = unnamed_[path];
      if (bytes) return Status(base::Code::AlreadyExists, path + ": is there");
      bytes = std::make_shared<std::string>();
      return std::unique_ptr<world::File>(std::make_unique<UnnamedFile>(bytes, timers_));
    }
    case OpenMode::CreateDirect: {
      auto upload = std::make_shared<Uploading>();
      upload->store = store_;
      PELTON_ASSIGN(std::string id, store_->begin_upload(key));
      upload->upload = {key, std::move(id)};
      return std::unique_ptr<world::File>(
          std::make_unique<UploadFile>(std::move(upload), executor_, path));
    }
    case OpenMode::ReadWrite:
      break;
  }
  return not_here(path, "way to change an object");
}

bool ObjectFiles::exists(const std::string& path) {
  if (!is_ours(path)) return others_.exists(path);
  if (unnamed_.contains(path)) return true;
  const auto key = key_of(path);
  if (!key.ok() || path.ends_with(".new")) return false;
  const auto size = store_->size_of(*key);
  return size.ok() && size->has_value();
}

Status ObjectFiles::make_directories(const std::string& path) {
  if (!is_ours(path)) return others_.make_directories(path);
  return base::ok();
}

Result<std::vector<world::DirectoryEntry>> ObjectFiles::list(const std::string& path) {
  if (!is_ours(path)) return others_.list(path);
  PELTON_ASSIGN(std::string prefix, key_of(path));
  if (!prefix.empty()) prefix += '/';
  PELTON_ASSIGN(const ListPage page, store_->list(prefix, false));
  std::vector<world::DirectoryEntry> entries;
  std::set<std::string> directories;
  for (const std::string& each : page.prefixes) {
    if (each.starts_with(prefix)) directories.insert(each.substr(prefix.size()));
  }
  if (path == root_) {
    const auto uploads = store_->uploads(prefix);  // a store may not offer this, or not to us
    for (const Upload& each : uploads.ok() ? *uploads : std::vector<Upload>()) {
      if (!each.key.starts_with(prefix)) continue;
      const std::string rest = each.key.substr(prefix.size());
      if (const size_t slash = rest.find('/'); slash != std::string::npos) {
        directories.insert(rest.substr(0, slash + 1));
      }
    }
  }
  for (std::string name : directories) {
    name.resize(name.find('/') == std::string::npos ? name.size() : name.find('/'));
    if (!name.empty()) entries.push_back({std::move(name), true, 0});
  }
  for (const Object& each : page.objects) {
    if (each.key.size() <= prefix.size() || !each.key.starts_with(prefix)) continue;
    entries.push_back({each.key.substr(prefix.size()), false, each.size});
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return entries;
}

Status ObjectFiles::rename(const std::string& from, const std::string& to) {
  if (!is_ours(from) && !is_ours(to)) return others_.rename(from, to);
  const auto it = unnamed_.find(from);
  if (it == unnamed_.end()) return not_here(from, "way to rename an object");
  PELTON_ASSIGN(const std::string key, key_of(to));
  PELTON_TRY(store_->put(key, *it->second));
  unnamed_.erase(it);
  return base::ok();
}

Status ObjectFiles::link(const std::string& from, const std::string& to) {
  if (!is_ours(from) && !is_ours(to)) return others_.link(from, to);
  const auto it = unnamed_.find(from);
  if (it == unnamed_.end()) return not_here(from, "second names for an object");
  PELTON_ASSIGN(const std::string key, key_of(to));
  return store_->create(key, *it->second);
}

Status ObjectFiles::remove(const std::string& path) {
  if (!is_ours(path)) return others_.remove(path);
  if (unnamed_.erase(path) != 0) return base::ok();
  PELTON_ASSIGN(const std::string key, key_of(path));
  return store_->remove({key});
}

Status ObjectFiles::remove_tree(const std::string& path) {
  if (!is_ours(path)) return others_.remove_tree(path);
  PELTON_ASSIGN(std::string prefix, key_of(path));
  if (!prefix.empty()) prefix += '/';
  // Uploads first: one that is completed now is an object that the listing after it shows.
  if (const auto uploads = store_->uploads(prefix); uploads.ok()) {
    std::vector<Upload> below = *uploads;
    std::erase_if(below, [&](const Upload& each) { return !each.key.starts_with(prefix); });
    PELTON_TRY(store_->abort(below));
  }
  PELTON_ASSIGN(const ListPage page, store_->list(prefix, true));
  std::vector<std::string> keys;
  for (const Object& each : page.objects) {
    if (each.key.starts_with(prefix)) keys.push_back(each.key);
  }
  return store_->remove(keys);
}

void ObjectFiles::sync_directory(const std::string& path, world::File::Done done) {
  if (!is_ours(path)) return others_.sync_directory(path, std::move(done));
  timers_.post([done = std::move(done)] { done(base::ok()); });  // an answered PUT is durable
}

Status ObjectFiles::make_link(const std::string& target, const std::string& path) {
  return is_ours(path) ? not_here(path, "links") : others_.make_link(target, path);
}

Result<std::string> ObjectFiles::real_path(const std::string& path) {
  if (!is_ours(path)) return others_.real_path(path);
  return path;
}

Result<world::Space> ObjectFiles::space(const std::string& path) {
  return is_ours(path) ? not_here(path, "limits of space") : others_.space(path);
}

Status ObjectFiles::set_mode(const std::string& path, uint32_t mode) {
  return is_ours(path) ? not_here(path, "modes") : others_.set_mode(path, mode);
}

Result<std::unique_ptr<world::FileLock>> ObjectFiles::lock(const std::string& path,
                                                           const std::string& holder) {
  if (!is_ours(path)) return others_.lock(path, holder);
  return not_here(path, "locks");
}

Result<std::unique_ptr<world::FileWatch>> ObjectFiles::watch(const std::string& path,
                                                             std::function<void()> changed) {
  if (!is_ours(path)) return others_.watch(path, std::move(changed));
  return not_here(path, "way to watch");
}

Result<std::unique_ptr<world::MappedFile>> ObjectFiles::map(const std::string& path, size_t size) {
  if (!is_ours(path)) return others_.map(path, size);
  return not_here(path, "mappings");
}

}  // namespace pelton::checkpoint
