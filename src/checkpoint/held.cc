// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/held.h"

#include <algorithm>

namespace pelton::checkpoint {
namespace {

using decide::checkpoint::Author;
using decide::checkpoint::Holding;
using decide::checkpoint::MemoryVersion;

base::Result<Author> read_author(world::Files& files, const std::string& path) {
  PELTON_ASSIGN(const auto file, files.open(path, world::OpenMode::Read));
  PELTON_ASSIGN(const uint64_t size, file->size());
  const uint64_t end = std::min<uint64_t>(size, decide::checkpoint::kEndBytes);
  PELTON_ASSIGN(const std::string bytes, file->read_at(size - end, end));
  return decide::checkpoint::author_of(bytes);
}

/// Without a part where all that lies there is being written.
Holding read_version(world::Files& files, const std::string& directory,
                     const MemoryVersion& version) {
  Holding holding;
  holding.version = version;
  const auto entries = files.list(directory);
  if (!entries.ok()) return holding;
  for (const world::DirectoryEntry& entry : *entries) {
    const auto writer = decide::checkpoint::writer_in(entry.name);
    if (!writer) continue;
    const base::Result<Author> author = read_author(files, directory + "/" + entry.name);
    if (!author.ok() || author->writer != *writer) continue;
    if (!holding.parts.empty() && author->writers != holding.writers) continue;
    holding.writers = author->writers;
    holding.parts.push_back(*writer);
  }
  return holding;
}

}  // namespace

std::vector<Holding> read_held(world::Files& files, const std::string& memory, size_t most) {
  const std::string directory = memory + "/" + decide::checkpoint::kMemorySubdirectory;
  const auto entries = files.list(directory);
  if (!entries.ok()) return {};
  std::vector<MemoryVersion> versions;
  for (const world::DirectoryEntry& entry : *entries) {
    const auto version = decide::checkpoint::version_in(entry.name);
    if (version && entry.is_directory) versions.push_back(*version);
  }
  std::sort(versions.rbegin(), versions.rend());
  std::vector<Holding> held;
  for (const MemoryVersion& version : versions) {
    if (held.size() >= most) break;
    Holding holding = read_version(files, directory + "/" + directory_name(version), version);
    std::sort(holding.parts.begin(), holding.parts.end());
    if (!holding.parts.empty()) held.push_back(std::move(holding));
  }
  return held;
}

}  // namespace pelton::checkpoint
