// SPDX-License-Identifier: Apache-2.0
#include "cli/data_directory.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/json.h"
#include "base/strings.h"
#include "os/self.h"

namespace pelton::cli {

std::string default_cache_directory() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache) {
    return std::string(cache) + "/pelton";
  }
  const char* home = std::getenv("HOME");
  return std::string(home ? home : "") + "/.cache/pelton";
}

base::Result<agent::Park> load_park(world::Files& files, const DataDirectory& directory) {
  PELTON_ASSIGN(const std::string text, files.read(directory.park()));
  auto json = base::Json::parse(text);
  if (!json.ok()) return std::move(json).status().with(directory.park());
  return agent::parse_park(*json, {directory.root, ""});
}

std::string default_data_directory() {
  if (const char* data = std::getenv("XDG_DATA_HOME"); data && *data) {
    return std::string(data) + "/pelton/default";
  }
  const char* home = std::getenv("HOME");
  return std::string(home ? home : "") + "/.local/share/pelton/default";
}

DataDirectory data_directory(const std::string& path) {
  std::string root = path.starts_with('/') ? path : os::working_directory() + "/" + path;
  while (root.size() > 1 && root.back() == '/') root.pop_back();
  return {root};
}

base::Result<ClusterConfig> ClusterConfig::read(world::Files& files,
                                                const DataDirectory& directory) {
  PELTON_ASSIGN(const std::string text, files.read(directory.config()));
  auto json = base::Json::parse(text);
  if (!json.ok()) return std::move(json).status().with(directory.config());
  ClusterConfig config;
  config.port = static_cast<uint16_t>((*json)["port"].as_int());
  return config;
}

base::Status ClusterConfig::write(world::Files& files, const DataDirectory& directory) const {
  const auto json = base::Json::object({{"port", int64_t{port}}});
  return files.replace(directory.config(), json.dump(2) + "\n");
}

namespace {

constexpr const char* kRunning = ".json";
constexpr const char* kStarting = ".starting";

base::Status write_record(world::Files& files, world::Processes& processes, const std::string& path,
                          const std::string& name, int pid) {
  PELTON_ASSIGN(const uint64_t ticks, processes.start_ticks(pid));
  const auto json = base::Json::object(
      {{"name", name}, {"pid", pid}, {"startTicks", static_cast<int64_t>(ticks)}});
  return files.replace(path, json.dump() + "\n");
}

std::vector<RunRecord> read_records(world::Files& files, world::Processes& processes,
                                    const DataDirectory& directory, const char* suffix) {
  std::vector<RunRecord> records;
  auto entries = files.list(directory.run());
  if (!entries.ok()) return records;
  for (const world::DirectoryEntry& entry : *entries) {
    if (!entry.name.ends_with(suffix)) continue;
    auto text = files.read(directory.run() + "/" + entry.name);
    if (!text.ok()) continue;
    auto json = base::Json::parse(*text);
    if (!json.ok()) continue;
    RunRecord record{(*json)["name"].as_string(), static_cast<int>((*json)["pid"].as_int()),
                     static_cast<uint64_t>((*json)["startTicks"].as_int())};
    auto ticks = processes.start_ticks(record.pid);
    if (ticks.ok() && *ticks == record.start_ticks) records.push_back(std::move(record));
  }
  return records;
}

}  // namespace

base::Status write_starting_record(world::Files& files, world::Processes& processes,
                                   const DataDirectory& directory, const std::string& name,
                                   int pid) {
  return write_record(files, processes, directory.run() + "/" + name + kStarting, name, pid);
}

base::Status write_run_record(world::Files& files, world::Processes& processes,
                              const DataDirectory& directory, const std::string& name, int pid) {
  PELTON_TRY(write_record(files, processes, directory.run() + "/" + name + kRunning, name, pid));
  files.remove(directory.run() + "/" + name + kStarting)
      .ignore("there is none of a part that was started by hand");
  return base::ok();
}

void remove_records(world::Files& files, const DataDirectory& directory, const std::string& name) {
  for (const char* suffix : {kRunning, kStarting}) {
    files.remove(directory.run() + "/" + name + suffix)
        .ignore("a stale record names a process that is gone");
  }
}

std::vector<RunRecord> running(world::Files& files, world::Processes& processes,
                               const DataDirectory& directory) {
  return read_records(files, processes, directory, kRunning);
}

std::vector<RunRecord> starting(world::Files& files, world::Processes& processes,
                                const DataDirectory& directory) {
  return read_records(files, processes, directory, kStarting);
}

}  // namespace pelton::cli
