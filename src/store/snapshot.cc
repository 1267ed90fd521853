// SPDX-License-Identifier: Apache-2.0
// Snapshots: a new log is begun between two batches, the state before it is written aside in small
// parts while commits go on, gets its name when it is durable, and only then the older files go.
#include "store/store_impl.h"

namespace pelton::store {

namespace {

constexpr size_t kPartBytes = size_t{1} << 20;

}  // namespace

void Store::Impl::start_snapshot(std::function<void(base::Status)> done) {
  if (done) snapshot_waiters.push_back(std::move(done));
  wants_snapshot = true;
  if (!failed.ok()) {
    wants_snapshot = false;
    for (auto& waiter : std::exchange(snapshot_waiters, {})) {
      timers.post([still = std::weak_ptr<bool>(alive), waiter = std::move(waiter), why = failed] {
        if (!still.expired()) waiter(why);
      });
    }
    return;
  }
  if (is_writing || snapshot) return;  // begun when that is over
  wants_snapshot = false;
  snapshot = std::make_unique<Snapshot>();
  snapshot->number = log_number + 1;
  snapshot->done = std::exchange(snapshot_waiters, {});
  auto file = files.open(log_path(directory, snapshot->number), world::OpenMode::CreateNew);
  if (!file.ok()) {
    return file.error().code() == base::Code::ResourceExhausted ? give_up_rotation(file.error())
                                                                : fail(file.error());
  }
  Encoder start(FrameKind::LogStart);
  start.u64(state.revision());
  const std::string frame = encode_frame(snapshot->number, 0, start.payload());
  if (base::Status s = (*file)->write_at(0, frame); !s.ok()) {
    return s.code() == base::Code::ResourceExhausted ? give_up_rotation(s) : fail(s);
  }
  is_writing = true;
  log_end = frame.size();  // the old file is not written any more
  snapshot->log_file = std::move(*file);
  // The old log first: a log that is not the last one must have no damaged end.
  log_file->sync([this, still = std::weak_ptr<bool>(alive)](const base::Status& old_synced) {
    if (still.expired()) return;
    if (!old_synced.ok()) return on_rotated(old_synced);
    snapshot->log_file->sync([this, still](const base::Status& synced) {
      if (still.expired()) return;
      if (!synced.ok()) return on_rotated(synced);
      files.sync_directory(directory, [this, still](const base::Status& status) {
        if (!still.expired()) on_rotated(status);
      });
    });
  });
}

/// No room for a new log: the old one goes on. But not before the new one's name is gone for good,
/// since a log that is not the last one must have no damaged end.
void Store::Impl::give_up_rotation(const base::Status& why) {
  const std::string path = log_path(directory, snapshot->number);
  if (files.exists(path)) {
    if (base::Status s = files.remove(path); !s.ok()) return fail(s);
  }
  log_bytes = options.snapshot_after_log_bytes / 2;  // the next try
  is_writing = true;
  files.sync_directory(directory,
                       [this, why, still = std::weak_ptr<bool>(alive)](const base::Status& status) {
                         if (still.expired()) return;
                         is_writing = false;
                         if (!status.ok()) return fail(status);
                         finish_snapshot(why);
                         if (!still.expired()) wake();
                       });
}

void Store::Impl::on_rotated(const base::Status& status) {
  is_writing = false;
  if (!status.ok()) return fail(status);
  wake();
  log_file = std::move(snapshot->log_file);
  log_number = snapshot->number;
  log_bytes = log_end;
  // Values are shared, not copied: commits go on while this is written.
  snapshot->revision = state.revision();
  snapshot->entries.assign(state.index().begin(), state.index().end());
  snapshot->path = snapshot_path(directory, snapshot->number) + ".new";
  auto opened = files.open(snapshot->path, world::OpenMode::ReadWrite);
  if (!opened.ok()) return finish_snapshot(opened.error());
  snapshot->file = std::move(*opened);
  if (base::Status s = snapshot->file->truncate(0); !s.ok()) return finish_snapshot(s);
  snapshot_timer.start({}, [this] { write_snapshot_part(); });
}

void Store::Impl::write_snapshot_part() {
  Snapshot& s = *snapshot;
  const bool is_last = s.next == s.entries.size();
  Encoder part(is_last ? FrameKind::SnapshotEnd : FrameKind::SnapshotPart);
  if (is_last) {
    part.u64(s.revision);
    part.u64(s.entries.size());
  } else {
    size_t bytes = 0, end = s.next;
    for (; end < s.entries.size() && bytes < kPartBytes; ++end) {
      bytes += s.entries[end].first.size() + s.entries[end].second.bytes->size();
    }
    part.u32(static_cast<uint32_t>(end - s.next));
    for (; s.next < end; ++s.next) {
      const auto& [key, value] = s.entries[s.next];
      part.entry(key, value.bytes, value.created, value.revision);
    }
  }
  const std::string frame = encode_frame(s.number, s.end, part.payload());
  if (base::Status status = s.file->write_at(s.end, frame); !status.ok()) {
    return finish_snapshot(status);
  }
  s.end += frame.size();
  if (!is_last) {
    snapshot_timer.start({}, [this] { write_snapshot_part(); });
    return;
  }
  s.file->sync([this, still = std::weak_ptr<bool>(alive)](const base::Status& status) {
    if (still.expired() || !snapshot) return;
    status.ok() ? publish_snapshot() : finish_snapshot(status);
  });
}

void Store::Impl::publish_snapshot() {
  const std::string final_path = snapshot_path(directory, snapshot->number);
  if (base::Status s = files.rename(snapshot->path, final_path); !s.ok()) return finish_snapshot(s);
  files.sync_directory(
      directory, [this, still = std::weak_ptr<bool>(alive)](const base::Status& status) {
        if (still.expired() || !snapshot) return;
        if (!status.ok()) return fail(status);
        // Only now: the new name is durable. What stays after a crash here goes at the next open.
        auto entries = files.list(directory);
        for (const auto& entry : entries.ok() ? *entries : std::vector<world::DirectoryEntry>()) {
          const std::string path = directory + "/" + entry.name;
          const bool is_older =
              (has_prefix(entry.name, "log-") && path < log_path(directory, snapshot->number)) ||
              (has_prefix(entry.name, "snapshot-") &&
               path < snapshot_path(directory, snapshot->number));
          if (is_older) files.remove(path).ignore("what stays is removed at the next open");
        }
        log.info("store.snapshot", {{"revision", static_cast<int64_t>(snapshot->revision)},
                                    {"entries", static_cast<int64_t>(snapshot->entries.size())},
                                    {"bytes", static_cast<int64_t>(snapshot->end)}});
        finish_snapshot(base::ok());
      });
}

void Store::Impl::finish_snapshot(base::Status status) {
  if (!status.ok()) {
    // The logs still hold everything: the next try is after as many bytes again.
    log.warning("store.snapshot_failed", {{"error", status.to_string()}});
    if (snapshot->file) files.remove(snapshot->path).ignore("removed at the next open");
  }
  snapshot_timer.cancel();
  auto waiters = std::move(snapshot->done);
  snapshot.reset();
  const std::weak_ptr<bool> still = alive;
  for (auto& waiter : waiters) {
    if (waiter) waiter(status);
    if (still.expired()) return;
  }
  if (wants_snapshot) wake();
}

}  // namespace pelton::store
