// SPDX-License-Identifier: Apache-2.0
#include "launch/run_directory.h"

#include "base/strings.h"

namespace pelton::launch {
namespace {

constexpr std::string_view kPrefix = "pelton-run-";
constexpr std::string_view kLockSuffix = ".lock";

/// A directory lives as long as the lock beside it is held.
void remove_abandoned(world::Files& files, const std::string& above) {
  const auto entries = files.list(above);
  if (!entries.ok()) return;
  for (const world::DirectoryEntry& entry : *entries) {
    if (!entry.name.starts_with(kPrefix) || !entry.name.ends_with(kLockSuffix)) continue;
    const std::string path = above + "/" + entry.name;
    const auto lock = files.lock(path, "a later run");
    if (!lock.ok()) continue;  // it lives, or is another user's
    files.remove_tree(path.substr(0, path.size() - kLockSuffix.size())).ignore("the next one will");
    files.remove(path).ignore("the next one will");
  }
}

}  // namespace

base::Result<std::unique_ptr<RunDirectory>> RunDirectory::make(world::World& world,
                                                               const std::string& temporary) {
  auto in_memory = make_in(world, "/dev/shm");
  if (in_memory.ok()) return in_memory;
  return make_in(world, temporary.empty() ? "/tmp" : temporary);
}

base::Result<std::unique_ptr<RunDirectory>> RunDirectory::make_in(world::World& world,
                                                                  const std::string& above) {
  remove_abandoned(world.files, above);
  const std::string path =
      above + "/" + std::string(kPrefix) + base::hex_encode(world.random.bytes(8));
  PELTON_ASSIGN(auto lock, world.files.lock(path + std::string(kLockSuffix), "pelton run"));
  PELTON_TRY(world.files.make_directories(path));
  return std::unique_ptr<RunDirectory>(new RunDirectory(world, path, std::move(lock)));
}

RunDirectory::~RunDirectory() {
  world_.files.remove_tree(path_).ignore("the next run will");
  world_.files.remove(path_ + std::string(kLockSuffix)).ignore("the next run will");
}

}  // namespace pelton::launch
