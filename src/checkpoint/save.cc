// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/save.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace pelton::checkpoint {
namespace {

using decide::checkpoint::Commit;
using decide::checkpoint::Manifest;
using decide::checkpoint::Record;

constexpr size_t kBlock = size_t{8} << 20;
constexpr size_t kMostBlocks = 8192;  // an object store takes 10,000 parts
constexpr std::string_view kManifestSuffix = ".manifest";

/// One part on its way to the disk; owned by the callbacks it waits for.
class PartSave : public std::enable_shared_from_this<PartSave> {
 public:
  PartSave(const Place& place, Manifest manifest, std::string_view bytes, SaveDone done)
      : place_(place), manifest_(std::move(manifest)), bytes_(bytes), done_(std::move(done)) {
    name_ = decide::checkpoint::step_directory(manifest_.step, manifest_.epoch);
    directory_ = place_.directory + "/" + name_;
    manifest_.file = data_name(manifest_.writer);
    const size_t pages = bytes_.size() / world::kDirectAlignment;
    block_ = std::max(kBlock, (pages / kMostBlocks + 1) * world::kDirectAlignment);
  }

  void start() {
    base::Status status = place_.files.make_directories(directory_);
    // What an earlier try of this process left. Its manifest goes first: it names the data.
    for (const std::string& name : {manifest_name(manifest_.writer), manifest_.file}) {
      const std::string path = directory_ + "/" + name;
      if (status.ok() && place_.files.exists(path)) status = place_.files.remove(path);
    }
    if (!status.ok()) return done_(status);
    const std::string path = directory_ + "/" + manifest_.file;
    auto file = place_.files.open(path, world::OpenMode::CreateDirect);
    if (!file.ok()) return done_(file.error());
    file_ = std::move(file).value();
    write_data();
  }

 private:
  void write_data() {
    while (status_.ok() && at_ < bytes_.size() && under_way_ < file_->writes_at_once()) {
      const std::string_view block = bytes_.substr(at_, block_);
      ++under_way_;
      const uint64_t at = std::exchange(at_, at_ + block.size());
      file_->write_later(at, block, [self = shared_from_this()](base::Status written) {
        --self->under_way_;
        if (self->status_.ok()) self->status_ = std::move(written);
        self->write_data();
      });
    }
    if (under_way_ != 0) return;
    // Only now: until here the disk reads the caller's bytes.
    if (!status_.ok()) return give_up(status_);
    if (std::exchange(is_written_, true)) return;
    file_->sync([self = shared_from_this()](base::Status synced) {
      if (!synced.ok()) return self->give_up(synced);
      self->write_manifest();
    });
  }

  void write_manifest() {
    const std::string path = directory_ + "/" + manifest_name(manifest_.writer);
    const std::string temporary = path + ".new";
    if (place_.files.exists(temporary)) {
      place_.files.remove(temporary).ignore("opening it tells what is wrong");
    }
    auto file = place_.files.open(temporary, world::OpenMode::CreateNew);
    if (!file.ok()) return give_up(file.error());
    file_ = std::move(file).value();
    const std::string text = decide::checkpoint::seal(decide::checkpoint::to_json(manifest_));
    const base::Status written = file_->write_at(0, text);
    if (!written.ok()) return give_up(written);
    file_->sync([self = shared_from_this(), temporary, path](base::Status synced) {
      if (!synced.ok()) return self->give_up(synced);
      const base::Status renamed = self->place_.files.rename(temporary, path);
      if (!renamed.ok()) return self->give_up(renamed);
      self->sync_names();
    });
  }

  void sync_names() {
    place_.files.sync_directory(directory_, [self = shared_from_this()](base::Status synced) {
      if (!synced.ok()) return self->give_up(synced);
      commit_if_complete(self->place_, self->name_, self->done_);
    });
  }

  /// Takes away what might be taken for a part, and the space that it holds.
  void give_up(base::Status status) {
    const std::string manifest = directory_ + "/" + manifest_name(manifest_.writer);
    for (const std::string& path :
         {manifest, manifest + ".new", directory_ + "/" + manifest_.file}) {
      if (place_.files.exists(path)) place_.files.remove(path).ignore("the disk is failing");
    }
    done_(std::move(status));
  }

  Place place_;
  Manifest manifest_;
  std::string_view bytes_;
  SaveDone done_;
  std::string name_, directory_;
  std::unique_ptr<world::File> file_;
  uint64_t at_ = 0;
  size_t block_ = kBlock;
  size_t under_way_ = 0;
  bool is_written_ = false;
  base::Status status_;
};

/// Whether every writer's manifest is there, and then what the commit is.
base::Result<std::optional<Commit>> complete_commit(const Place& place, const std::string& name) {
  const std::string directory = place.directory + "/" + name;
  PELTON_ASSIGN(const auto entries, place.files.list(directory));
  const auto present = std::count_if(entries.begin(), entries.end(), [](const auto& entry) {
    return entry.name.ends_with(kManifestSuffix);
  });
  // The first says how many there will be: the others are read only when all are there.
  const auto first = std::find_if(entries.begin(), entries.end(), [](const auto& entry) {
    return entry.name.ends_with(kManifestSuffix);
  });
  if (first == entries.end()) return std::optional<Commit>();
  const std::string path = directory + "/" + first->name;
  PELTON_ASSIGN(const std::string text, place.files.read(path));
  PELTON_ASSIGN(const base::Json json, decide::checkpoint::unseal(text, path));
  if (json["writers"].as_int() != present) return std::optional<Commit>();
  PELTON_ASSIGN(const auto manifests, read_manifests(place.files, directory));
  const base::Status complete = decide::checkpoint::check_complete(manifests);
  if (!complete.ok()) return base::Status(complete).with(directory);
  const Manifest& one = manifests.front();
  if (decide::checkpoint::step_directory(one.step, one.epoch) != name) {
    return base::invalid_argument(
        fmt::format("{}: its manifests are of step {}, epoch {}", directory, one.step, one.epoch));
  }
  return std::optional(
      Commit{one.step, one.epoch, name, one.writers, decide::checkpoint::plan_digest(one.tensors)});
}

/// Whether another writer may have given the step back already, since a later one is committed.
bool is_outdated(const Place& place, const std::string& name) {
  const auto step = decide::checkpoint::step_and_epoch(name);
  const auto state = place.log.read();
  const Commit* const newest = state.ok() ? state->newest() : nullptr;
  return step && newest != nullptr &&
         std::pair(newest->epoch, newest->step) > std::pair(step->second, step->first);
}

/// Steps of the newest epoch that are not committed, newest first.
std::vector<std::string> left_behind(const Place& place, const LogFile::LogState& state) {
  std::vector<std::string> names;
  const auto entries = place.files.list(place.directory);
  if (!entries.ok()) return names;
  for (const auto& entry : *entries) {
    const auto name = decide::checkpoint::step_and_epoch(entry.name);
    if (!name || name->second != state.epoch) continue;
    const decide::checkpoint::Commit* newest = state.newest();
    if (newest && newest->epoch == state.epoch && newest->step >= name->first) continue;
    names.insert(names.begin(), entry.name);
  }
  return names;
}

void commit_each(const Place& place, std::vector<std::string> names, std::function<void()> done) {
  if (names.empty()) return done();
  const std::string name = names.front();
  names.erase(names.begin());
  commit_if_complete(place, name,
                     [place, names = std::move(names), done = std::move(done)](const auto& saved) {
                       // One that cannot be committed is no obstacle for those before it.
                       const bool is_done = saved.ok() && *saved == Saved::Committed;
                       commit_each(place, is_done ? std::vector<std::string>() : names, done);
                     });
}

}  // namespace

std::string data_name(uint64_t writer) {
  return fmt::format("w{:05d}.data", writer);
}

std::string manifest_name(uint64_t writer) {
  return fmt::format("w{:05d}{}", writer, kManifestSuffix);
}

base::Result<std::vector<Manifest>> read_manifests(world::Files& files,
                                                   const std::string& directory) {
  PELTON_ASSIGN(const auto entries, files.list(directory));
  std::vector<Manifest> manifests;
  for (const auto& entry : entries) {
    if (!entry.name.ends_with(kManifestSuffix)) continue;
    const std::string path = directory + "/" + entry.name;
    PELTON_ASSIGN(const std::string text, files.read(path));
    PELTON_ASSIGN(const base::Json json, decide::checkpoint::unseal(text, path));
    base::Result<Manifest> manifest = decide::checkpoint::manifest_of(json);
    if (!manifest.ok()) return base::Status(manifest.error()).with(path);
    manifests.push_back(std::move(manifest).value());
  }
  return manifests;
}

void save_part(const Place& place, Manifest manifest, std::string_view bytes, SaveDone done) {
  PELTON_CHECK(bytes.size() == manifest.file_bytes);
  std::make_shared<PartSave>(place, std::move(manifest), bytes, std::move(done))->start();
}

void commit_if_complete(const Place& place, const std::string& directory, SaveDone done) {
  auto commit = complete_commit(place, directory);
  if (!commit.ok()) {
    const bool is_gone = commit.status().code() == base::Code::NotFound;
    return done(is_gone && is_outdated(place, directory) ? base::Result<Saved>(Saved::Written)
                                                         : commit.error());
  }
  if (!*commit) return done(Saved::Written);
  const auto append = [place, commit = **commit, done](const base::Status& synced) {
    if (!synced.ok()) return done(synced);
    const auto decide = [commit](const LogFile::LogState& state) -> base::Result<Record> {
      PELTON_TRY(decide::checkpoint::decide_commit(state, commit));
      Record record;
      record.kind = Record::Kind::Committed;
      record.epoch = commit.epoch;
      record.commit = commit;
      return record;
    };
    place.log.append(decide, [done](const auto& state) {
      done(state.ok() ? base::Result<Saved>(Saved::Committed) : state.status());
    });
  };
  // Names that other writers have just made may not be durable; nor the directory's own.
  place.files.sync_directory(place.directory + "/" + directory,
                             [place, append](const base::Status& synced) {
                               if (!synced.ok()) return append(synced);
                               place.files.sync_directory(place.directory, append);
                             });
}

void begin_attempt(const Place& place, const decide::checkpoint::Attempt& attempt,
                   LogFile::Done done) {
  const auto begin = [place, attempt, done] { place.log.begin(attempt, done); };
  const auto state = place.log.read();
  // Nothing to finish, or nobody to finish for: begin() says what is wrong.
  if (!state.ok() || state->epoch == 0) return begin();
  const auto joined = decide::checkpoint::decide_begin(*state, attempt);
  if (!joined.ok() || *joined) return begin();
  commit_each(place, left_behind(place, *state), begin);
}

void clean(const Place& place, size_t keep, std::function<void()> done) {
  const auto state = place.log.read();
  const auto entries = place.files.list(place.directory);
  const auto records = place.files.list(place.directory + "/log");
  if (!state.ok() || !entries.ok() || !records.ok()) return done();
  std::vector<std::string> names;
  for (const auto& entry : *entries) names.push_back(entry.name);
  auto cleaning = decide::checkpoint::decide_cleaning(*state, names, records->size(), keep);
  const auto remove = [place, cleaning, done] {
    for (const std::string& name : cleaning.remove) {
      place.files.remove_tree(place.directory + "/" + name)
          .ignore("the next to commit tries again");
    }
    if (!cleaning.state_after) return done();
    place.log.append(
        [](const LogFile::LogState& now) -> base::Result<Record> { return now.to_record(); },
        [place, number = *cleaning.state_after, done](const auto& written) {
          if (written.ok()) place.log.remove_up_to(number);
          done();
        });
  };
  if (cleaning.drop.empty()) return remove();
  // All but the newest `keep` of the moment, each by its own record, before its bytes go.
  auto drop_next = std::make_shared<std::function<void(size_t)>>();
  *drop_next = [place, drop = cleaning.drop, remove, done,
                next = std::weak_ptr(drop_next)](size_t i) {
    if (i == drop.size()) return remove();
    Record record;
    record.kind = Record::Kind::Dropped;
    record.commit = drop[i];
    record.reason = "retention";
    const auto again = next.lock();
    place.log.append(
        [record](const LogFile::LogState& now) -> base::Result<Record> {
          Record dated = record;
          dated.epoch = now.epoch;
          return dated;
        },
        [again, i, done](const auto& written) { written.ok() ? (*again)(i + 1) : done(); });
  };
  (*drop_next)(0);
}

}  // namespace pelton::checkpoint
