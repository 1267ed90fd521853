// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/kept_parts.h"

#include <algorithm>
#include <utility>

namespace pelton::agent {

using decide::checkpoint::MemoryVersion;

KeptParts::KeptParts(world::Files& files, std::string checkpoints)
    : files_(files), checkpoints_(std::move(checkpoints)) {}

std::string KeptParts::name_of(const PartId& part) const {
  std::string name = to_string(part);
  std::replace(name.begin(), name.end(), '/', '.');
  return checkpoints_ + "/" + kDirectory + "/" + name;
}

bool KeptParts::is_there(const PartId& part) const {
  return files_.exists(checkpoints_ + "/" + to_string(part) + ".manifest");
}

template <typename Predicate>
void KeptParts::release_if(const Predicate& predicate) {
  std::erase_if(parts_, [&](const PartId& part) {
    if (!predicate(part)) return false;
    files_.remove(name_of(part)).ignore("then the memory is given back with the job's");
    return true;
  });
}

base::Status KeptParts::adopt() {
  PELTON_TRY(files_.make_directories(checkpoints_ + "/" + kDirectory));
  PELTON_ASSIGN(const auto entries, files_.list(checkpoints_ + "/" + kDirectory));
  for (const world::DirectoryEntry& entry : entries) {
    std::string name = entry.name;
    std::replace(name.begin(), name.end(), '.', '/');
    if (const auto part = part_of(name)) {
      parts_.insert(*part);
    } else {
      files_.remove_tree(checkpoints_ + "/" + kDirectory + "/" + entry.name)
          .ignore("it is tried at the next start");
    }
  }
  release_gone();
  return base::ok();
}

bool KeptParts::keep(const PartId& part) {
  if (has(part)) return is_there(part);
  const std::string name = name_of(part);
  const base::Status linked = files_.link(checkpoints_ + "/" + to_string(part) + ".data", name);
  // Who gives it away takes the manifest first, and looks for a second name before that: what is
  // there now was not given away, or will be found out by its checksums.
  if (linked.ok() && is_there(part)) {
    parts_.insert(part);
    return true;
  }
  if (linked.ok()) files_.remove(name).ignore("it is tried at the next start");
  return false;
}

bool KeptParts::has(const MemoryVersion& version) const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [&](const PartId& part) { return part.version == version; });
}

bool KeptParts::has_any_but(const MemoryVersion& version) const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [&](const PartId& part) { return part.version != version; });
}

void KeptParts::release(const MemoryVersion& version) {
  release_if([&](const PartId& part) { return part.version == version; });
}

void KeptParts::release_all_but(const MemoryVersion& version) {
  release_if([&](const PartId& part) { return part.version != version; });
}

void KeptParts::release_gone() {
  release_if([&](const PartId& part) { return !is_there(part); });
}

}  // namespace pelton::agent
