// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/restore.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/strings.h"

namespace pelton::checkpoint {
namespace {

using decide::checkpoint::Commit;
using decide::checkpoint::kChunkBytes;
using decide::checkpoint::Manifest;
using decide::checkpoint::Record;
using decide::checkpoint::Stretch;

}  // namespace

base::Status StepReader::add(const std::string& directory, int tier) {
  PELTON_ASSIGN(auto found, read_manifests(files_, directory));
  for (Manifest& manifest : found) {
    sources_.push_back({directory + "/" + manifest.file, nullptr, tier});
    manifests_.push_back(std::move(manifest));
  }
  return base::ok();
}

base::Result<world::File*> StepReader::open(Source& source) {
  if (!source.file) {
    PELTON_ASSIGN(source.file, files_.open(source.path, world::OpenMode::Read));
  }
  return source.file.get();
}

base::Status StepReader::read_chunk(const decide::checkpoint::Read::Place& place, uint64_t chunk,
                                    char* to) {
  const Manifest& manifest = manifests_[place.holder];
  const auto& slice = manifest.slices[place.slice];
  const auto& tensor = manifest.tensors[slice.tensor];
  const uint64_t size =
      std::min(kChunkBytes, decide::checkpoint::bytes_of(tensor, slice.box) - chunk * kChunkBytes);
  PELTON_ASSIGN(world::File* const file, open(sources_[place.holder]));
  const uint64_t at = slice.at + chunk * kChunkBytes;
  PELTON_ASSIGN(const size_t got, file->read_into(at, to, size));
  if (got != size || base::hash64({to, got}) != slice.checksums[chunk]) {
    return {base::Code::DataLoss,
            fmt::format("tensor {}: {} is damaged between bytes {} and {}", tensor.name,
                        sources_[place.holder].path, at, at + size)};
  }
  return base::ok();
}

base::Status StepReader::read_any(const decide::checkpoint::Read& read, uint64_t chunk, char* to) {
  base::Status first;
  for (const auto& place : read.places) {
    base::Status status = read_chunk(place, chunk, to);
    if (status.ok()) return status;
    if (first.ok()) first = std::move(status);
  }
  // A file that is gone is as good as damaged; one that cannot be read now is not.
  if (first.code() != base::Code::NotFound) return first;
  return {base::Code::DataLoss, first.message()};
}

base::Status StepReader::read(const decide::checkpoint::Wanted& wanted, char* to) {
  std::vector<decide::checkpoint::Holder> holders;
  for (size_t i = 0; i < manifests_.size(); ++i) {
    holders.push_back({&manifests_[i], sources_[i].tier});
  }
  PELTON_ASSIGN(const auto reads, decide::checkpoint::plan_reads(wanted, holders));
  scratch_.resize(kChunkBytes);
  for (const auto& read : reads) {
    base::Status status;
    uint64_t loaded = UINT64_MAX;  // the chunk in scratch_
    const auto take = [&](const Stretch& stretch) {
      uint64_t from = stretch.from, left = stretch.bytes;
      char* at = to + stretch.to;
      while (left > 0 && status.ok()) {
        const uint64_t chunk = from / kChunkBytes, within = from % kChunkBytes;
        const uint64_t size = std::min(left, kChunkBytes - within);
        if (size == kChunkBytes) {  // the whole chunk: straight to where it belongs
          status = read_any(read, chunk, at);
        } else {
          if (loaded != chunk) status = read_any(read, chunk, scratch_.data());
          loaded = chunk;
          if (status.ok()) std::memcpy(at, scratch_.data() + within, size);
        }
        from += size;
        at += size;
        left -= size;
      }
    };
    decide::checkpoint::for_each_stretch(wanted.tensor, read.box, wanted.box, take);
    PELTON_TRY(status);
  }
  return base::ok();
}

namespace {

/// From the newest commit back, until one is intact.
class Restore : public std::enable_shared_from_this<Restore> {
 public:
  Restore(const Place& place, std::vector<Target> targets, bool is_alone, RestoreDone done)
      : place_(place), targets_(std::move(targets)), is_alone_(is_alone), done_(std::move(done)) {}

  void start() {
    const auto state = place_.log.read();
    if (!state.ok()) return done_(state.error());
    const Commit* const newest = state->newest();
    if (!newest) return give_up();
    base::Status status = load(*newest);
    if (status.ok()) return done_(std::move(restored_));
    if (status.code() != base::Code::DataLoss) return done_(std::move(status));
    restored_.passed_over.push_back(status.message());
    drop(*newest, status.message());
  }

 private:
  base::Status load(const Commit& commit) {
    StepReader reader(place_.files);
    base::Status status = reader.add(place_.directory + "/" + commit.directory, 0);
    if (status.code() == base::Code::NotFound || status.code() == base::Code::InvalidArgument) {
      return {base::Code::DataLoss, status.message()};
    }
    PELTON_TRY(status);
    status = decide::checkpoint::check_complete(reader.manifests());
    if (!status.ok() || reader.manifests().front().step != commit.step) {
      return {base::Code::DataLoss,
              fmt::format("{}/{}: {}", place_.directory, commit.directory,
                          status.ok() ? "its manifests are of another step" : status.message())};
    }
    for (const Target& target : targets_) PELTON_TRY(reader.read(target.wanted, target.to));
    restored_.version = {commit.epoch, commit.step};
    restored_.extras.resize(commit.writers);
    for (const Manifest& manifest : reader.manifests()) {
      restored_.extras[manifest.writer] = manifest.extra;
    }
    return base::ok();
  }

  void drop(const Commit& commit, const std::string& why) {
    place_.log.append(
        [commit, why](const LogFile::LogState& now) -> base::Result<Record> {
          Record record;
          record.kind = Record::Kind::Dropped;
          record.epoch = now.epoch;
          record.commit = commit;
          record.reason = why;
          return record;
        },
        [self = shared_from_this()](const auto& state) {
          if (!state.ok()) return self->done_(state.error());
          self->is_alone_ ? self->start() : self->give_up();
        });
  }

  void give_up() {
    if (restored_.passed_over.empty()) {
      return done_(base::not_found(place_.directory + ": nothing is committed there"));
    }
    if (!is_alone_) {
      return done_(base::Status(base::Code::DataLoss,
                                restored_.passed_over.front() +
                                    ": it is not used any more; start the job's ranks again, and "
                                    "they take the one before it"));
    }
    done_(base::Status(base::Code::DataLoss,
                       fmt::format("{}: no checkpoint there is intact; the newest: {}",
                                   place_.directory, restored_.passed_over.front())));
  }

  Place place_;
  std::vector<Target> targets_;
  bool is_alone_;
  RestoreDone done_;
  Restored restored_;
};

}  // namespace

void restore_newest(const Place& place, std::vector<Target> targets, bool is_alone,
                    RestoreDone done) {
  std::make_shared<Restore>(place, std::move(targets), is_alone, std::move(done))->start();
}

}  // namespace pelton::checkpoint
