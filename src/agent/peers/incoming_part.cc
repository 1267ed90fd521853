// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/incoming_part.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace pelton::agent {
namespace {

namespace checkpoint = decide::checkpoint;
using base::Json;

constexpr size_t kLongestLine = 256;
/// 16 hex digits for each MiB, and the names of all tensors.
constexpr uint64_t kLargestManifest = uint64_t{256} << 20;
constexpr uint32_t kModeDirectory = 0777, kModeFile = 0666;

}  // namespace

std::string to_string(const PartId& part) {
  const std::string manifest = checkpoint::manifest_name(part.writer);
  return checkpoint::directory_name(part.version) + "/" + manifest.substr(0, manifest.find('.'));
}

std::optional<PartId> part_of(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto version = checkpoint::version_in(text.substr(0, slash));
  const auto writer = checkpoint::writer_in(std::string(text.substr(slash + 1)) + ".manifest");
  if (!version || !writer) return std::nullopt;
  return PartId{*version, *writer};
}

IncomingPart::IncomingPart(world::Files& files, const std::string& memory, std::string job,
                           PartId part)
    : files_(files),
      directory_(memory + "/" + checkpoint::kMemorySubdirectory + "/" +
                 checkpoint::directory_name(part.version)),
      job_(std::move(job)),
      part_(part) {}

IncomingPart::~IncomingPart() {
  writer_.reset();
  if (has_made_data_) {
    files_.remove(hidden(checkpoint::data_name(part_.writer))).ignore("it may have its name");
  }
}

base::Status IncomingPart::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    switch (state_) {
      case State::Line:
        PELTON_TRY(take_line(bytes));
        break;
      case State::Manifest:
        PELTON_TRY(take_manifest(bytes));
        break;
      case State::Data:
        PELTON_TRY(take_data(bytes));
        break;
      case State::Complete:
        return base::invalid_argument(to_string(part_) + ": more bytes than were announced");
    }
  }
  return base::ok();
}

base::Status IncomingPart::take_line(std::string_view& bytes) {
  const size_t end = bytes.find('\n');
  line_ += bytes.substr(0, end);
  if (line_.size() > kLongestLine) return base::invalid_argument("no stream of a part");
  bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
  if (end == std::string_view::npos) return base::ok();
  PELTON_ASSIGN(const Json line, Json::parse(line_));
  const int64_t manifest = line["manifest"].as_int(-1);
  const int64_t data = line["data"].as_int(-1);
  if (manifest < 1 || static_cast<uint64_t>(manifest) > kLargestManifest || data < 0) {
    return base::invalid_argument("no stream of a part");
  }
  manifest_bytes_ = static_cast<uint64_t>(manifest);
  data_bytes_ = static_cast<uint64_t>(data);
  state_ = State::Manifest;
  return base::ok();
}

base::Status IncomingPart::take_manifest(std::string_view& bytes) {
  const std::string_view part = bytes.substr(0, manifest_bytes_ - manifest_.size());
  manifest_ += part;
  bytes.remove_prefix(part.size());
  return manifest_.size() < manifest_bytes_ ? base::ok() : begin_data();
}

base::Status IncomingPart::begin_data() {
  const std::string what = to_string(part_);
  PELTON_ASSIGN(const Json json, checkpoint::unseal(manifest_, what));
  base::Result<checkpoint::Manifest> manifest = checkpoint::manifest_of(json);
  if (!manifest.ok()) return std::move(manifest).status().with(what);
  if (manifest->run != job_ || manifest->step != part_.version.step ||
      manifest->writer != static_cast<uint64_t>(part_.writer) ||
      manifest->file != checkpoint::data_name(part_.writer) ||
      manifest->file_bytes != data_bytes_) {
    return base::invalid_argument(what + ": the manifest is of another part");
  }
  PELTON_TRY(plan_stretches(*manifest));
  PELTON_TRY(files_.make_directories(directory_));
  // Whoever can write here could have put a link there.
  PELTON_ASSIGN(const std::string real, files_.real_path(directory_));
  if (real != directory_) return base::invalid_argument(directory_ + ": leads elsewhere");
  PELTON_TRY(files_.set_mode(directory_, kModeDirectory));
  const std::string path = hidden(checkpoint::data_name(part_.writer));
  files_.remove(path).ignore("what a dead agent left, if anything");
  PELTON_ASSIGN(auto data, files_.open(path, world::OpenMode::CreateNew));
  has_made_data_ = true;
  PELTON_TRY(data->truncate(data_bytes_));
  writer_ =
      std::make_unique<BlockWriter>(std::move(data), data_bytes_, [this](base::Status status) {
        const auto tell = on_written_;  // which may destroy this
        tell(std::move(status));
      });
  state_ = stretches_.empty() ? State::Complete : State::Data;
  return base::ok();
}

void IncomingPart::add_gap(uint64_t begin, uint64_t end) {
  for (; begin < end; begin += checkpoint::kChunkBytes) {
    stretches_.push_back({begin, std::min(end, begin + checkpoint::kChunkBytes)});
  }
}

base::Status IncomingPart::plan_stretches(const checkpoint::Manifest& manifest) {
  uint64_t at = 0;
  for (const checkpoint::Slice& slice : manifest.slices) {
    if (slice.at < at) {
      return base::invalid_argument(to_string(part_) + ": slices are not in the file's order");
    }
    add_gap(at, slice.at);
    const uint64_t bytes = bytes_of(manifest.tensors[slice.tensor], slice.box);
    at = slice.at;
    for (const uint64_t checksum : slice.checksums) {
      const uint64_t end = std::min(at + checkpoint::kChunkBytes, slice.at + bytes);
      stretches_.push_back({at, end, true, checksum});
      at = end;
    }
  }
  if (at > manifest.file_bytes) {
    return base::invalid_argument(to_string(part_) + ": a slice ends after its file");
  }
  add_gap(at, manifest.file_bytes);
  return base::ok();
}

/// Verified while it is in the cache, and written whether it is right or not: under no name of a
/// part's.
base::Status IncomingPart::take_data(std::string_view& bytes) {
  const Stretch& stretch = stretches_[next_];
  const std::string_view some = bytes.substr(0, stretch.end - data_come_);
  bytes.remove_prefix(some.size());
  data_come_ += some.size();
  hash_.add(some);
  writer_->add(some);
  if (data_come_ < stretch.end) return base::ok();
  if (stretch.is_checked && hash_.value() != stretch.checksum) {
    return {base::Code::DataLoss,
            fmt::format("{}: bytes {} to {} are not what was saved (it may have given way to a "
                        "newer step while it was sent)",
                        to_string(part_), stretch.begin, stretch.end)};
  }
  hash_.reset();
  if (++next_ == stretches_.size()) state_ = State::Complete;
  return base::ok();
}

base::Status IncomingPart::publish() {
  const std::string manifest = checkpoint::manifest_name(part_.writer);
  if (files_.exists(directory_ + "/" + manifest)) return base::ok();
  writer_.reset();
  const std::string data = checkpoint::data_name(part_.writer);
  PELTON_TRY(files_.set_mode(hidden(data), kModeFile));
  files_.remove(hidden(manifest)).ignore("what a dead agent left, if anything");
  {
    PELTON_ASSIGN(const auto file, files_.open(hidden(manifest), world::OpenMode::CreateNew));
    PELTON_TRY(file->write_at(0, manifest_));
  }
  PELTON_TRY(files_.set_mode(hidden(manifest), kModeFile));
  PELTON_TRY(files_.rename(hidden(data), directory_ + "/" + data));
  has_made_data_ = false;
  PELTON_TRY(files_.rename(hidden(manifest), directory_ + "/" + manifest));
  files_.remove(directory_ + "/" + manifest + ".remote").ignore("it was asked for, or was not");
  return base::ok();
}

}  // namespace pelton::agent
