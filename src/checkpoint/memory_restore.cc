// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/memory_restore.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "checkpoint/agree.h"

namespace pelton::checkpoint {

using base::Json;
using decide::checkpoint::Manifest;
using decide::checkpoint::memory_directory;
using decide::checkpoint::MemoryVersion;

namespace {

constexpr std::string_view kManifestSuffix = ".manifest", kRemoteSuffix = ".manifest.remote";
constexpr std::string_view kAgreementPrefix = "restore-";

/// FailedPrecondition: a newer format or another job's. DataLoss: damaged, or of another version.
base::Result<Manifest> read_manifest(world::Files& files, const std::string& path,
                                     const std::string& job, const MemoryVersion& version) {
  PELTON_ASSIGN(const std::string text, files.read(path));
  PELTON_ASSIGN(const Json json, decide::checkpoint::unseal(text, path));
  auto manifest = decide::checkpoint::manifest_of(json);
  if (!manifest.ok()) {
    const base::Status status = base::Status(manifest.error()).with(path);
    if (status.code() == base::Code::FailedPrecondition) return status;
    return base::Status(base::Code::DataLoss, status.message());
  }
  if (manifest->job != job) {
    return base::Status(base::Code::FailedPrecondition, "OtherJob",
                        fmt::format("{}: job: it is of job \"{}\", and this is job \"{}\": give "
                                    "each job a PELTON_MEMORY_DIR of its own",
                                    path, manifest->job, job));
  }
  if (manifest->generation != version.generation || manifest->step != version.step) {
    return base::Status(base::Code::DataLoss,
                        fmt::format("{}: it is of generation {}, step {}", path,
                                    manifest->generation, manifest->step));
  }
  return manifest;
}

/// Gathers the parts of one version from all tiers, and loads it.
class VersionRestore {
 public:
  VersionRestore(const Memory& memory, const Place* durable, const Seeker& seeker,
                 const MemoryVersion& version, OnThreads on_threads)
      : memory_(memory),
        durable_(durable),
        seeker_(seeker),
        version_(version),
        on_threads_(std::move(on_threads)),
        directory_(memory.directory + "/" + memory_directory(version)) {}

  base::Result<Restored> load(const std::vector<Target>& targets) {
    std::set<uint64_t> asked;
    for (;;) {
      // Those of the durable tier know paths of the machine too.
      StepReader reader(durable_ ? durable_->files : memory_.files, on_threads_);
      PELTON_TRY(gather(reader));
      base::Status status = reader.check_complete();
      if (!status.ok()) return lost(status.message());
      PELTON_ASSIGN(std::set<uint64_t> wanted, reader.needed(targets, Tier::Peers));
      if (wanted.empty()) {
        status = reader.read(targets);
        if (status.ok()) return restored(reader);
        if (status.code() != base::Code::DataLoss) return status;
        wanted = reader.damaged();
      }
      // What is missing here, or damaged in every tier, peers may have; each is asked for once.
      if (!fetch(wanted, asked)) {
        for (const uint64_t writer : reader.damaged()) take_away(writer);
        return lost(status.ok() ? "peers do not give their parts any more" : status.message());
      }
    }
  }

 private:
  struct Part {
    Manifest manifest;
    std::string directory;
    Tier tier;
  };

  base::Status gather(StepReader& reader) {
    std::vector<Part> parts;
    PELTON_TRY(from_memory(kManifestSuffix, [&](const Manifest& manifest) {
      const bool has_come = fetched_.contains(manifest.writer);
      parts.push_back({manifest, directory_, has_come ? Tier::Fetched : Tier::Memory});
    }));
    if (durable_) PELTON_TRY(from_durable(parts));
    keep_last_epoch(parts);
    std::set<uint64_t> here;
    for (const Part& part : parts) here.insert(part.manifest.writer);
    if ((parts.empty() || here.size() < parts.front().manifest.writers) && ask_parts()) {
      PELTON_TRY(from_memory(kRemoteSuffix, [&](const Manifest& manifest) {
        if (here.contains(manifest.writer)) return;
        parts.push_back({manifest, directory_, Tier::Peers});
      }));
      keep_last_epoch(parts);
    }
    for (const Part& part : parts) reader.add(part.manifest, part.directory, part.tier);
    return base::ok();
  }

  /// Generations of two runs may have the same number: the later epoch is right, and what is of an
  /// earlier one is of no use here.
  void keep_last_epoch(std::vector<Part>& parts) {
    int64_t last = -1;
    for (const Part& part : parts) last = std::max(last, part.manifest.epoch);
    std::erase_if(parts, [&](const Part& part) {
      if (part.manifest.epoch == last) return false;
      if (part.tier != Tier::Durable) take_away(part.manifest.writer);
      return true;
    });
  }

  base::Status from_memory(std::string_view suffix,
                           const std::function<void(const Manifest&)>& take) {
    if (memory_.directory.empty()) return base::ok();
    const auto entries = memory_.files.list(directory_);
    if (!entries.ok()) return base::ok();  // nothing of it is here
    for (const auto& entry : *entries) {
      if (!entry.name.ends_with(suffix)) continue;
      const std::string path = directory_ + "/" + entry.name;
      const auto manifest = read_manifest(memory_.files, path, seeker_.job, version_);
      if (manifest.ok()) {
        take(*manifest);
      } else if (manifest.error().code() == base::Code::DataLoss) {
        damage_ = manifest.error().message();
        memory_.files.remove(path).ignore("a peer was quicker");
      } else if (manifest.error().code() != base::Code::NotFound) {
        return manifest.error();
      }
    }
    return base::ok();
  }

  base::Status from_durable(std::vector<Part>& parts) {
    const auto entries = durable_->files.list(durable_->directory);
    if (!entries.ok()) return base::ok();
    for (const auto& entry : *entries) {
      const auto name = decide::checkpoint::step_and_epoch(entry.name);
      if (!name || name->first != version_.step) continue;
      const std::string directory = durable_->directory + "/" + entry.name;
      const auto files = durable_->files.list(directory);
      if (!files.ok()) continue;
      for (const auto& file : *files) {
        if (!file.name.ends_with(kManifestSuffix)) continue;
        // One that is damaged, or another generation's, is no part of this version.
        const auto manifest =
            read_manifest(durable_->files, directory + "/" + file.name, seeker_.job, version_);
        if (manifest.ok()) {
          parts.push_back({*manifest, directory, Tier::Durable});
        } else if (manifest.error().code() == base::Code::FailedPrecondition) {
          return manifest.error();
        }
      }
    }
    return base::ok();
  }

  /// Whether peers have parts; their manifests lie here then.
  bool ask_parts() {
    if (!memory_.ask || memory_.directory.empty()) return false;
    const auto answer = memory_.ask(Json::object({{"version", memory_directory(version_)}}));
    if (!answer.ok()) return false;
    const auto parts = decide::checkpoint::peer_parts(*answer);
    peers_ = parts.ok() ? *parts : std::vector<uint64_t>();
    return !peers_.empty();
  }

  /// Whether anything came.
  bool fetch(const std::set<uint64_t>& writers, std::set<uint64_t>& asked) {
    bool has_come = false;
    if (writers.empty() || !ask_parts()) return false;
    for (const uint64_t writer : writers) {
      if (std::find(peers_.begin(), peers_.end(), writer) == peers_.end()) continue;
      if (!asked.insert(writer).second) continue;
      const auto answer = memory_.ask(
          Json::object({{"fetch", fmt::format("{}/w{:05d}", memory_directory(version_), writer)}}));
      if (!answer.ok() || !decide::checkpoint::peer_fetched(*answer).ok()) continue;
      fetched_.insert(writer);
      has_come = true;
    }
    return has_come;
  }

  void take_away(uint64_t writer) {
    if (memory_.directory.empty()) return;
    memory_.files.remove(directory_ + "/" + manifest_name(writer)).ignore("it is not there");
  }

  base::Status lost(const std::string& why) const {
    return {base::Code::DataLoss,
            fmt::format("step {} of generation {} cannot be restored from memory{}: {}{}",
                        version_.step, version_.generation,
                        durable_ ? " and " + durable_->directory : std::string(), why,
                        damage_.empty() ? damage_ : "; " + damage_)};
  }

  Restored restored(const StepReader& reader) const {
    Restored restored;
    const Manifest& one = reader.manifests().front();
    restored.version = {one.epoch, one.step};
    restored.generation = one.generation;
    restored.bytes = reader.bytes_read();
    restored.extras.resize(one.writers);
    for (const Manifest& manifest : reader.manifests()) {
      restored.extras[manifest.writer] = manifest.extra;
    }
    if (!damage_.empty()) restored.passed_over.push_back(damage_);
    return restored;
  }

  const Memory& memory_;
  const Place* durable_;
  const Seeker& seeker_;
  MemoryVersion version_;
  OnThreads on_threads_;
  std::string directory_;
  std::vector<uint64_t> peers_;  ///< writers whose parts they have
  std::set<uint64_t> fetched_;
  std::string damage_;  ///< of a manifest, the last that was found
};

/// A version that is complete in the directory; `one` is any of its manifests.
struct Held {
  MemoryVersion version;
  Manifest one;
};

base::Result<std::optional<Held>> read_held(const Memory& memory, const Seeker& seeker,
                                            const MemoryVersion& version) {
  const std::string directory = memory.directory + "/" + memory_directory(version);
  const auto entries = memory.files.list(directory);
  if (!entries.ok()) return std::optional<Held>();
  std::vector<Manifest> manifests;
  for (const auto& entry : *entries) {
    if (!entry.name.ends_with(kManifestSuffix)) continue;
    auto manifest = read_manifest(memory.files, directory + "/" + entry.name, seeker.job, version);
    if (manifest.ok()) manifests.push_back(std::move(manifest).value());
    if (manifest.status().code() == base::Code::FailedPrecondition) return manifest.error();
  }
  if (manifests.empty() || !decide::checkpoint::check_complete(manifests).ok()) {
    return std::optional<Held>();
  }
  return std::optional(Held{version, std::move(manifests.front())});
}

std::vector<MemoryVersion> versions_in(const Memory& memory) {
  std::vector<MemoryVersion> versions;
  if (memory.directory.empty()) return versions;
  const auto entries = memory.files.list(memory.directory);
  if (!entries.ok()) return versions;
  for (const auto& entry : *entries) {
    if (const auto version = decide::checkpoint::memory_version(entry.name)) {
      versions.push_back(*version);
    }
  }
  return versions;
}

/// Looks in memory until nothing there is left to try, then in the durable tier.
base::Result<std::optional<Restored>> restore_from_memory(const Memory& memory,
                                                          const Place* durable,
                                                          const Seeker& seeker, bool is_alone,
                                                          const std::vector<Target>& targets,
                                                          const OnThreads& on_threads,
                                                          std::vector<std::string>& passed_over) {
  for (;;) {
    PELTON_ASSIGN(const auto version, is_alone ? newest_in_memory(memory, durable, seeker)
                                               : agreed_in_memory(memory, durable, seeker));
    if (!version) return std::optional<Restored>();
    auto restored = restore_version(memory, durable, seeker, *version, targets, on_threads);
    if (restored.ok()) return std::optional(std::move(restored).value());
    if (!is_alone || restored.error().code() != base::Code::DataLoss) return restored.error();
    // What is damaged has been taken away: the next look finds the one before it.
    passed_over.push_back(restored.error().message());
  }
}

/// Our own fence stands in the log, so what is committed there is the same for all ranks of the
/// attempt, and all take it or none does.
base::Result<bool> is_older_than_durable(const MemoryVersion& version, const Place* durable) {
  if (durable == nullptr) return false;
  const auto state = durable->log.read();
  if (!state.ok()) return state.error();
  const auto* newest = state->newest();
  return newest != nullptr && decide::checkpoint::is_behind(version, newest->step);
}

}  // namespace

void restore(const Memory& memory, const Place* durable, const Seeker& seeker, const Choice& choice,
             std::vector<Target> targets, RestoreDone done, OnThreads on_threads) {
  if (choice.named) {
    const auto is_behind = is_older_than_durable(*choice.named, durable);
    if (!is_behind.ok()) return done(is_behind.error());
    if (!*is_behind) {
      return done(
          restore_version(memory, durable, seeker, *choice.named, targets, std::move(on_threads)));
    }
    return restore_newest(*durable, std::move(targets), choice.is_alone, std::move(done),
                          std::move(on_threads));
  }
  std::vector<std::string> passed_over;
  if (!memory.directory.empty() && choice.is_one_node) {
    auto found = restore_from_memory(memory, durable, seeker, choice.is_alone, targets, on_threads,
                                     passed_over);
    if (!found.ok()) return done(found.error());
    if (*found) {
      auto& all = (*found)->passed_over;
      all.insert(all.begin(), passed_over.begin(), passed_over.end());
      return done(std::move(**found));
    }
  }
  if (!durable) {
    return done(base::not_found(memory.directory + ": no checkpoint is complete there"));
  }
  const auto tell = [passed_over, done = std::move(done)](base::Result<Restored> restored) {
    if (restored.ok()) {
      auto& all = restored->passed_over;
      all.insert(all.begin(), passed_over.begin(), passed_over.end());
    }
    done(std::move(restored));
  };
  restore_newest(*durable, std::move(targets), choice.is_alone, tell, std::move(on_threads));
}

base::Result<Restored> restore_version(const Memory& memory, const Place* durable,
                                       const Seeker& seeker, const MemoryVersion& version,
                                       const std::vector<Target>& targets, OnThreads on_threads) {
  return VersionRestore(memory, durable, seeker, version, std::move(on_threads)).load(targets);
}

base::Result<std::optional<MemoryVersion>> newest_in_memory(const Memory& memory,
                                                            const Place* durable,
                                                            const Seeker& seeker) {
  using decide::checkpoint::Version;
  Version least{-1, -1};
  std::vector<std::string> runs;
  if (durable) {
    const auto state = durable->log.read();
    if (!state.ok()) return state.error();
    runs = state->past_runs;
    runs.push_back(state->run);
    if (const auto* newest = state->newest()) least = {newest->epoch, newest->step};
  }
  std::optional<MemoryVersion> best;
  for (const MemoryVersion& version : versions_in(memory)) {
    PELTON_ASSIGN(const auto held, read_held(memory, seeker, version));
    if (!held) continue;
    const Manifest& one = held->one;
    // With a log its epochs order all attempts of all runs, and tell those that wrote elsewhere.
    if (durable && std::find(runs.begin(), runs.end(), one.run) == runs.end()) continue;
    if (one.epoch >= seeker.epoch || Version{one.epoch, one.step} < least) continue;
    least = {one.epoch, one.step};
    best = version;
  }
  return best;
}

base::Result<std::optional<MemoryVersion>> agreed_in_memory(const Memory& memory,
                                                            const Place* durable,
                                                            const Seeker& seeker) {
  const std::string name =
      fmt::format("{}g{}-e{}", kAgreementPrefix, seeker.generation, seeker.epoch);
  const std::string path = memory.directory + "/" + name;
  std::string mine;
  if (!memory.files.exists(path)) {
    PELTON_ASSIGN(const auto found, newest_in_memory(memory, durable, seeker));
    mine = found ? to_text(*found) : "none";
    PELTON_TRY(memory.files.make_directories(memory.directory));
    PELTON_ASSIGN(const auto entries, memory.files.list(memory.directory));
    for (const auto& entry : entries) {
      if (!entry.name.starts_with(kAgreementPrefix) || entry.name == name) continue;
      memory.files.remove(memory.directory + "/" + entry.name).ignore("of an older attempt");
    }
  }
  PELTON_ASSIGN(const std::string text,
                agree(memory.files, path, fmt::format("w{}", seeker.writer), mine));
  if (text == "none") return std::optional<MemoryVersion>();
  auto version = decide::checkpoint::parse_restore(text);
  if (!version.ok()) return base::Status(version.error()).with(path);
  return version;
}

base::Status check_owner(const Memory& memory, const std::string& job) {
  for (const MemoryVersion& version : versions_in(memory)) {
    const std::string directory = memory.directory + "/" + memory_directory(version);
    const auto entries = memory.files.list(directory);
    if (!entries.ok()) continue;
    for (const auto& entry : *entries) {
      if (!entry.name.ends_with(kManifestSuffix)) continue;
      const auto found = read_manifest(memory.files, directory + "/" + entry.name, job, version);
      if (found.status().code() == base::Code::FailedPrecondition) return found.error();
      break;
    }
  }
  return base::ok();
}

int64_t last_generation(const Memory& memory) {
  int64_t last = -1;
  for (const MemoryVersion& version : versions_in(memory)) {
    last = std::max(last, version.generation);
  }
  return last;
}

std::optional<MemoryVersion> held_in_memory(const Memory& memory, const Seeker& seeker) {
  std::vector<MemoryVersion> versions = versions_in(memory);
  std::sort(versions.rbegin(), versions.rend());
  for (const MemoryVersion& version : versions) {
    const auto held = read_held(memory, seeker, version);
    if (held.ok() && *held) return version;
  }
  return std::nullopt;
}

}  // namespace pelton::checkpoint
