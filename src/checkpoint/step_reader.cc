// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/step_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "base/strings.h"
#include "checkpoint/copy.h"
#include "checkpoint/save.h"

namespace pelton::checkpoint {

using decide::checkpoint::kChunkBytes;
using decide::checkpoint::Manifest;
using decide::checkpoint::Read;
using decide::checkpoint::Stretch;

/// A data file. In memory it is mapped: there a call to the system costs as much as the copy.
struct StepReader::Source {
  std::string path;
  Tier tier = Tier::Memory;
  bool is_open = false;
  base::Status status;  ///< why it could not be opened
  std::unique_ptr<world::File> file;
  std::unique_ptr<world::MappedFile> mapped;
};

/// What one thread does at a time: the stretches of one chunk.
struct StepReader::Piece {
  const Read* read = nullptr;
  uint64_t chunk = 0;
  char* whole = nullptr;  ///< where all of it goes; absent: the stretches say where
  struct Part {
    uint64_t within, bytes;
    char* to;
  };
  std::vector<Part> parts;
  base::Status status;
};

StepReader::StepReader(world::Files& files, OnThreads on_threads)
    : files_(files), on_threads_(std::move(on_threads)) {
  if (!on_threads_) on_threads_ = [](const std::function<void()>& work) { work(); };
}
StepReader::~StepReader() = default;

base::Status StepReader::add(const std::string& directory, Tier tier) {
  PELTON_ASSIGN(const auto found, read_manifests(files_, directory));
  for (const Manifest& manifest : found) add(manifest, directory, tier);
  return base::ok();
}

void StepReader::add(const Manifest& manifest, const std::string& directory, Tier tier) {
  auto source = std::make_unique<Source>();
  source->path = directory + "/" + manifest.file;
  source->tier = tier;
  sources_.push_back(std::move(source));
  manifests_.push_back(manifest);
}

base::Status StepReader::check_complete() const {
  std::map<uint64_t, const Manifest*> by_writer;
  for (const Manifest& manifest : manifests_) by_writer.emplace(manifest.writer, &manifest);
  std::vector<const Manifest*> each;
  for (const auto& [writer, manifest] : by_writer) each.push_back(manifest);
  return decide::checkpoint::check_complete(each);
}

std::vector<decide::checkpoint::Holder> StepReader::holders() const {
  std::vector<decide::checkpoint::Holder> all;
  for (size_t i = 0; i < manifests_.size(); ++i) {
    all.push_back({&manifests_[i], static_cast<int>(sources_[i]->tier)});
  }
  return all;
}

base::Result<std::set<uint64_t>> StepReader::needed(const std::vector<Target>& targets,
                                                    Tier tier) const {
  std::set<uint64_t> writers;
  for (const Target& target : targets) {
    PELTON_ASSIGN(const auto reads, decide::checkpoint::plan_reads(target.wanted, holders()));
    for (const Read& read : reads) {
      const size_t nearest = read.places.front().holder;
      if (sources_[nearest]->tier == tier) writers.insert(manifests_[nearest].writer);
    }
  }
  return writers;
}

std::array<uint64_t, kTiers> StepReader::bytes_read() const {
  std::array<uint64_t, kTiers> bytes{};
  for (size_t i = 0; i < kTiers; ++i) bytes[i] = bytes_read_[i];
  return bytes;
}

void StepReader::open(Source& source) {
  if (std::exchange(source.is_open, true)) return;
  auto file = files_.open(source.path, world::OpenMode::Read);
  if (!file.ok()) {
    source.status = file.error();
    return;
  }
  source.file = std::move(file).value();
  if (source.tier == Tier::Durable) return;
  const auto size = source.file->size();
  if (!size.ok() || *size == 0) return;
  auto mapped = files_.map(source.path, *size);
  if (mapped.ok()) source.mapped = std::move(mapped).value();
}

base::Status StepReader::read_chunk(const Read::Place& place, uint64_t chunk, char* to) {
  const Manifest& manifest = manifests_[place.holder];
  const auto& slice = manifest.slices[place.slice];
  const auto& tensor = manifest.tensors[slice.tensor];
  const uint64_t size =
      std::min(kChunkBytes, decide::checkpoint::bytes_of(tensor, slice.box) - chunk * kChunkBytes);
  const Source& source = *sources_[place.holder];
  PELTON_TRY(source.status);
  const uint64_t at = slice.at + chunk * kChunkBytes;
  uint64_t sum = 0, got = size;
  if (source.mapped) {
    const std::string_view bytes = source.mapped->bytes();
    if (bytes.size() < at + size) {
      got = 0;
    } else {
      sum = copy_and_hash(to, bytes.data() + at, size);
    }
  } else {
    PELTON_ASSIGN(got, source.file->read_into(at, to, size));
    if (got == size) sum = base::hash64({to, got});
  }
  if (got != size || sum != slice.checksums[chunk]) {
    return {base::Code::DataLoss, fmt::format("tensor {}: {} is damaged between bytes {} and {}",
                                              tensor.name, source.path, at, at + size)};
  }
  bytes_read_[static_cast<size_t>(source.tier)] += size;
  return base::ok();
}

base::Status StepReader::read_any(const Read& read, uint64_t chunk, char* to) {
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

base::Status StepReader::read_piece(const Piece& piece, std::string& scratch) {
  if (piece.whole) return read_any(*piece.read, piece.chunk, piece.whole);
  scratch.resize(kChunkBytes);
  PELTON_TRY(read_any(*piece.read, piece.chunk, scratch.data()));
  for (const auto& part : piece.parts) {
    std::memcpy(part.to, scratch.data() + part.within, part.bytes);
  }
  return base::ok();
}

base::Status StepReader::plan(const Target& target, std::vector<Piece>& pieces) {
  PELTON_ASSIGN(auto reads, decide::checkpoint::plan_reads(target.wanted, holders()));
  for (auto& read : reads) {
    reads_.push_back(std::make_unique<Read>(std::move(read)));
    const Read& kept = *reads_.back();
    for (const auto& place : kept.places) open(*sources_[place.holder]);
    const auto& holder = manifests_[kept.places.front().holder];
    const uint64_t all = decide::checkpoint::bytes_of(target.wanted.tensor,
                                                      holder.slices[kept.places.front().slice].box);
    bool is_first = true;
    const auto take = [&](const Stretch& stretch) {
      uint64_t from = stretch.from, left = stretch.bytes;
      char* at = target.to + stretch.to;
      while (left > 0) {
        const uint64_t chunk = from / kChunkBytes, within = from % kChunkBytes;
        const uint64_t length = std::min(kChunkBytes, all - chunk * kChunkBytes);
        const uint64_t size = std::min(left, length - within);
        if (std::exchange(is_first, false) || pieces.back().chunk != chunk) {
          pieces.push_back({&kept, chunk, nullptr, {}, {}});
        }
        if (size == length) {  // the whole chunk: straight to where it belongs
          pieces.back().whole = at;
        } else {
          pieces.back().parts.push_back({within, size, at});
        }
        from += size;
        at += size;
        left -= size;
      }
    };
    decide::checkpoint::for_each_stretch(target.wanted.tensor, kept.box, target.wanted.box, take);
  }
  return base::ok();
}

base::Status StepReader::read(const std::vector<Target>& targets) {
  std::vector<Piece> pieces;
  reads_.clear();
  damaged_.clear();
  for (const Target& target : targets) PELTON_TRY(plan(target, pieces));
  std::atomic<size_t> next = 0;
  on_threads_([&] {
    std::string scratch;
    for (size_t i = next++; i < pieces.size(); i = next++) {
      pieces[i].status = read_piece(pieces[i], scratch);
    }
  });
  base::Status first;
  for (Piece& piece : pieces) {
    if (piece.status.code() == base::Code::DataLoss) {
      damaged_.insert(manifests_[piece.read->places.front().holder].writer);
    }
    if (first.ok()) first = std::move(piece.status);
  }
  return first;
}

}  // namespace pelton::checkpoint
