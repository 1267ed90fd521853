// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/areas.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "checkpoint/save.h"

namespace pelton::checkpoint {
namespace {

/// One of the data files that processes of this writer left.
struct Left {
  std::string path;
  uint64_t bytes = 0;
  std::optional<decide::checkpoint::MemoryVersion> version;
};

std::string spare_name(uint64_t writer, size_t area) {
  return fmt::format("w{:05d}-{}.spare", writer, area);
}

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

}  // namespace

Areas::Areas(world::Files& files, world::SharedMemory& memory, Settings settings)
    : files_(files), memory_(memory), settings_(std::move(settings)) {}

std::string Areas::directory_of(const Version& version) const {
  return settings_.directory + "/" + decide::checkpoint::memory_directory(version);
}

std::string Areas::manifest_of(const Version& version) const {
  return directory_of(version) + "/" + manifest_name(settings_.writer);
}

base::Status Areas::adopt() {
  if (!is_shared()) return base::ok();
  PELTON_TRY(files_.make_directories(settings_.directory));
  PELTON_ASSIGN(const auto entries, files_.list(settings_.directory));
  std::vector<Left> all;
  for (const auto& entry : entries) {
    const std::string path = settings_.directory + "/" + entry.name;
    for (size_t i = 0; i < areas_.size() && !entry.is_directory; ++i) {
      if (entry.name == spare_name(settings_.writer, i)) all.push_back({path, entry.size, {}});
    }
    const auto version = decide::checkpoint::memory_version(entry.name);
    // Of a later generation: this process is fenced, and hears of it elsewhere.
    if (!version || version->generation > settings_.generation) continue;
    const auto files = files_.list(path);
    if (!files.ok()) continue;
    const bool counts = files_.exists(manifest_of(*version));
    for (const auto& file : *files) {
      if (file.name != data_name(settings_.writer)) continue;
      all.push_back({path + "/" + file.name, file.size,
                     counts ? std::optional<Version>(*version) : std::nullopt});
    }
  }
  std::sort(all.begin(), all.end(),
            [](const Left& a, const Left& b) { return a.version > b.version; });
  for (size_t i = 0; i < all.size(); ++i) {
    if (i < areas_.size()) {
      areas_[i].path = all[i].path;
      areas_[i].file_bytes = all[i].bytes;
      areas_[i].version = all[i].version;
      continue;
    }
    if (memory_.names_of(all[i].path) > 1) continue;  // an agent keeps it
    if (all[i].version) {
      files_.remove(manifest_of(*all[i].version)).ignore("its data goes next");
    }
    files_.remove(all[i].path).ignore("an older generation's; remove_older() tries again");
  }
  return base::ok();
}

void Areas::note(const base::Status& why) {
  if (std::exchange(has_told_, true)) return;
  notice_ = fmt::format(
      "not every checkpoint is kept in {}: {}; give the memory tier more room, a little over twice "
      "what the ranks of a node hold",
      settings_.directory, why.message());
}

std::string Areas::take_notice() {
  return std::exchange(notice_, std::string());
}

base::Status Areas::make_room(Area& area, const std::string& new_path, size_t bytes) {
  if (area.region && area.region->size() >= bytes) return base::ok();
  area.region.reset();
  if (is_shared() && !area.has_no_room) {
    const std::string path = area.path.empty() ? new_path : area.path;
    // Never shorter: a peer may be reading what is there.
    auto region = memory_.map(path, std::max<uint64_t>(bytes, area.file_bytes));
    if (region.ok()) {
      area.region = std::move(region).value();
      area.path = path;
      area.file_bytes = area.region->size();
      return base::ok();
    }
    if (!area.version) files_.remove(path).ignore("it may not even have been made");
    note(region.status());
    area.has_no_room = true;
  }
  area.path.clear();
  area.file_bytes = 0;
  area.version.reset();
  PELTON_ASSIGN(area.region, memory_.map("", bytes));
  return base::ok();
}

base::Status Areas::prepare(size_t bytes) {
  for (size_t i = 0; i < areas_.size(); ++i) {
    if (areas_[i].is_busy) continue;
    PELTON_TRY(
        make_room(areas_[i], settings_.directory + "/" + spare_name(settings_.writer, i), bytes));
  }
  return base::ok();
}

Areas::Area* Areas::next(const Version& version) {
  std::vector<std::optional<Version>> held;
  std::vector<Area*> free;
  for (Area& area : areas_) {
    // A part exists once: who saves a step again overwrites it.
    if (area.version == version) return area.is_busy ? nullptr : &area;
    if (area.is_busy) continue;
    held.push_back(area.version);
    free.push_back(&area);
  }
  if (free.empty()) return nullptr;
  return free[decide::checkpoint::decide_area(held, settings_.generation, restored_)];
}

bool Areas::is_linked(const Area& area) const {
  return is_shared() && !area.path.empty() && memory_.names_of(area.path) > 1;
}

/// Takes another file; false where there is no room for one.
bool Areas::leave(Area& area, const Version& version, size_t bytes) {
  const std::string path = directory_of(version) + "/" + data_name(settings_.writer);
  if (path == area.path || !files_.make_directories(parent_of(path)).ok()) return false;
  for (const std::string& old : {manifest_of(version), path}) {
    const base::Status removed = files_.remove(old);
    if (!removed.ok() && removed.code() != base::Code::NotFound) return false;
  }
  auto region = memory_.map(path, bytes);
  if (!region.ok()) {
    files_.remove(path).ignore("it may not even have been made");
    return false;
  }
  area.region = std::move(region).value();
  area.path = path;
  area.file_bytes = area.region->size();
  area.version.reset();
  return true;
}

base::Status Areas::begin(Area& area, const Version& version, size_t bytes) {
  if (is_linked(area) && leave(area, version, bytes)) return base::ok();
  if (area.version) {
    const std::string manifest = manifest_of(*area.version);
    // Before its bytes change: from here on nobody takes it for that version.
    const base::Status removed = files_.remove(manifest);
    if (!removed.ok() && removed.code() != base::Code::NotFound) return removed;
  }
  area.version.reset();
  if (!is_shared() || area.has_no_room) return make_room(area, "", bytes);
  const base::Status moved = move_to(area, version, bytes);
  if (moved.ok() || moved.code() != base::Code::ResourceExhausted) return moved;
  // Not even room for a name.
  note(moved);
  area.has_no_room = true;
  area.region.reset();
  return make_room(area, "", bytes);
}

base::Status Areas::move_to(Area& area, const Version& version, size_t bytes) {
  const std::string directory = directory_of(version);
  const std::string path = directory + "/" + data_name(settings_.writer);
  PELTON_TRY(files_.make_directories(directory));
  if (files_.exists(manifest_of(version))) PELTON_TRY(files_.remove(manifest_of(version)));
  if (!area.path.empty() && area.path != path) {
    const std::string from = std::exchange(area.path, path);
    const base::Status renamed = files_.rename(from, path);
    if (renamed.code() == base::Code::NotFound) {  // somebody has cleaned up
      area.region.reset();
      area.file_bytes = 0;
    } else if (!renamed.ok()) {
      area.path = from;
      return renamed;
    }
    // Fails while it holds other writers' parts.
    files_.remove(parent_of(from)).ignore("whoever leaves last removes it");
  }
  return make_room(area, path, bytes);
}

void Areas::publish(Area& area, const Version& version, decide::checkpoint::Manifest manifest) {
  if (area.path.empty()) return;
  manifest.file = data_name(settings_.writer);
  const std::string text = decide::checkpoint::seal(decide::checkpoint::to_json(manifest));
  const base::Status written = files_.replace(manifest_of(version), text);
  if (!written.ok()) return note(written);
  area.version = version;
  ++published_;
}

void Areas::remove_older() const {
  if (settings_.directory.empty()) return;
  const auto entries = files_.list(settings_.directory);
  if (!entries.ok()) return;
  for (const auto& entry : *entries) {
    const auto version = decide::checkpoint::memory_version(entry.name);
    if (!version || version->generation >= settings_.generation) continue;
    files_.remove_tree(settings_.directory + "/" + entry.name).ignore("the next save tries again");
  }
}

}  // namespace pelton::checkpoint
