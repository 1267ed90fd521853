// SPDX-License-Identifier: Apache-2.0
// Opening: lock, recover, make what was recovered durable, begin a new log, and only then show it.
#include <fmt/format.h>

#include "store/store_impl.h"

namespace pelton::store {

namespace {

/// After so many logs without a snapshot (each open begins one) it is time for one.
constexpr size_t kManyLogs = 8;

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

/// Lives until `done` was called: each step holds it.
struct StoreOpener : std::enable_shared_from_this<StoreOpener> {
  StoreOpener(world::Files& files, world::Timers& timers, base::Log& log, std::string directory,
              Options options, Store::OpenDone done)
      : files(files),
        timers(timers),
        log(log),
        directory(std::move(directory)),
        options(std::move(options)),
        done(std::move(done)) {}

  void start() {
    timers.post([self = shared_from_this()] {
      const base::Status status = self->recover_state();
      if (!status.ok()) return self->fail(status);
      self->secure_last_log();
    });
  }

  base::Status recover_state() {
    PELTON_TRY(files.make_directories(directory));
    PELTON_ASSIGN(lock, files.lock(directory + "/lock", options.holder));
    PELTON_ASSIGN(recovered, recover(files, directory, options));
    return base::ok();
  }

  /// What was read may have been in the cache only (the last process was killed before its sync
  /// ended, or the sync failed and the kernel calls the pages clean): the last frame is written
  /// once more, and synced, before anybody sees it. Earlier ones were synced before it was begun.
  void secure_last_log() {
    if (recovered.last_log == 0) return begin_log();
    const std::string path = log_path(directory, recovered.last_log);
    if (recovered.last_frame.empty()) {
      // Begun, never durable, so never used: its number is free again.
      const base::Status removed = files.remove(path);
      if (!removed.ok()) return fail(removed);
      --recovered.last_log;
      return begin_log();
    }
    auto opened = files.open(path, world::OpenMode::ReadWrite);
    if (!opened.ok()) return fail(opened.error());
    file = std::move(*opened);
    base::Status status = file->truncate(recovered.last_log_end);
    if (status.ok()) status = file->write_at(recovered.last_frame_offset, recovered.last_frame);
    if (!status.ok()) return fail(status);
    file->sync([self = shared_from_this()](const base::Status& synced) {
      synced.ok() ? self->secure_names() : self->fail(synced);
    });
  }

  /// The last log's name may be in the cache only, too. It must not be lost where its successor's
  /// stays: a log that is missing between others cannot be told from one that held something.
  void secure_names() {
    files.sync_directory(directory, [self = shared_from_this()](const base::Status& synced) {
      synced.ok() ? self->begin_log() : self->fail(synced);
    });
  }

  void begin_log() {
    number = recovered.last_log + 1;
    const bool is_fresh = recovered.last_log == 0;
    start_revision = is_fresh ? 1 : recovered.state.revision() + kRevisionWindow;
    Encoder start(FrameKind::LogStart);
    start.u64(start_revision);
    frame = encode_frame(number, 0, start.payload());
    auto opened = files.open(log_path(directory, number), world::OpenMode::CreateNew);
    if (!opened.ok()) return fail(opened.error());
    file = std::move(*opened);
    if (base::Status status = file->write_at(0, frame); !status.ok()) return fail(status);
    file->sync([self = shared_from_this()](const base::Status& status) {
      status.ok() ? self->sync_directories() : self->fail(status);
    });
  }

  void sync_directories() {
    files.sync_directory(directory, [self = shared_from_this()](const base::Status& status) {
      if (!status.ok()) return self->fail(status);
      self->files.sync_directory(parent_of(self->directory), [self](const base::Status& parent) {
        parent.ok() ? self->finish() : self->fail(parent);
      });
    });
  }

  void finish() {
    for (const std::string& path : recovered.obsolete) {
      files.remove(path).ignore("it is not read; the next open tries again");
    }
    const size_t logs = recovered.logs;
    const uint64_t log_bytes = recovered.log_bytes + frame.size();
    recovered.state.advance(start_revision);
    auto impl =
        std::make_unique<Store::Impl>(files, timers, log, directory, options, std::move(recovered));
    impl->lock = std::move(lock);
    impl->next_revision = start_revision + 1;
    impl->log_file = std::move(file);
    impl->log_number = number;
    impl->log_end = frame.size();
    impl->log_bytes = log_bytes;
    log.info("store.opened", {{"directory", directory},
                              {"revision", static_cast<int64_t>(start_revision)},
                              {"entries", static_cast<int64_t>(impl->state.index().size())}});
    std::unique_ptr<Store> store(new Store(std::move(impl)));
    if (logs >= kManyLogs) store->snapshot({});
    done(std::move(store));
  }

  void fail(const base::Status& status) {
    lock.reset();
    file.reset();
    log.error("store.open_failed", {{"directory", directory}, {"error", status.to_string()}});
    done(status);
  }

  world::Files& files;
  world::Timers& timers;
  base::Log& log;
  const std::string directory;
  const Options options;
  Store::OpenDone done;
  std::unique_ptr<world::FileLock> lock;
  std::unique_ptr<world::File> file;
  Recovered recovered;
  uint64_t number = 0;
  Revision start_revision = 0;
  std::string frame;
};

void Store::open(world::Files& files, world::Timers& timers, base::Log& log, std::string directory,
                 Options options, OpenDone done) {
  std::make_shared<StoreOpener>(files, timers, log, std::move(directory), std::move(options),
                                std::move(done))
      ->start();
}

}  // namespace pelton::store
