// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/kill_points.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/strings.h"
#include "checkpoint/areas.h"
#include "checkpoint/copy.h"
#include "checkpoint/memory_restore.h"
#include "sim/shared_memory.h"

namespace pelton::checkpoint {

using base::Duration;
using decide::checkpoint::Manifest;
using decide::checkpoint::Tensor;
using decide::checkpoint::whole;

namespace {
constexpr const char* kDirectory = "/checkpoints";
constexpr const char* kMemory = "/memory/checkpoint";
}  // namespace

struct KillPoints::Writer {
  sim::SimProcess* process = nullptr;
  std::unique_ptr<Place> place;
  std::unique_ptr<sim::SimSharedMemory> memory;
  std::unique_ptr<Areas> areas;
  int64_t epoch = 0;
  bool is_busy = false;
};

/// A file of the newest version in memory, as it was.
struct KillPoints::Kept {
  std::string name;
  std::string bytes;
};

/// Writers of one generation.
struct KillPoints::Attempt {
  int64_t generation = 0;
  std::vector<Writer> writers;
  std::map<int64_t, size_t> published;  ///< by step: how many parts
  bool is_alive() const {
    for (const Writer& writer : writers) {
      if (writer.process->is_alive()) return true;
    }
    return false;
  }
};

KillPoints::KillPoints(uint64_t seed)
    : sim_(seed), machine_(sim_.add_machine("server")), rng_(sim_.rng("workload")) {
  machine_.disk().set_volatile("/memory");
}
KillPoints::~KillPoints() = default;

void KillPoints::fail(std::string what) {
  if (failure_.empty()) {
    failure_ = fmt::format("seed {} generation {}: {}", sim_.seed(), generation_, what);
  }
}

std::vector<Tensor> KillPoints::tensors() const {
  return {{"w", "float32", 4, {37, 16}}, {"step", "int64", 8, {}}, {"b", "uint8", 1, {300}}};
}

std::string KillPoints::content(const Tensor& tensor, Version version) const {
  base::Rng rng(base::hash64(fmt::format("{} {} {}", tensor.name, version.epoch, version.step)));
  std::string bytes(decide::checkpoint::bytes_of(tensor, whole(tensor)), '\0');
  for (char& c : bytes) c = static_cast<char>(rng.below(256));
  return bytes;
}

bool KillPoints::wait(const std::function<bool()>& predicate) {
  return sim_.run_until(predicate, Duration::seconds(20));
}

void KillPoints::begin() {
  current_ = std::make_unique<Attempt>();
  current_->generation = ++generation_;
  current_->writers.resize(1 + rng_.below(3));
  size_t open = current_->writers.size();
  for (size_t i = 0; i < current_->writers.size(); ++i) {
    Writer& writer = current_->writers[i];
    const std::string name = fmt::format("g{}w{}", generation_, i);
    writer.process = &machine_.start(name);
    world::Files& files = writer.process->world().files;
    writer.place =
        std::make_unique<Place>(Place{files, kDirectory, LogFile(files, kDirectory, name)});
    writer.memory = std::make_unique<sim::SimSharedMemory>(machine_.disk(), *writer.process);
    const Areas::Settings settings{kMemory, i, generation_};
    writer.areas = std::make_unique<Areas>(files, *writer.memory, settings);
    writer.areas->adopt().ignore("the disk is full, or the machine has crashed");
    begin_attempt(*writer.place, {"job", "run", generation_}, [&](const auto& state) {
      --open;
      if (state.ok()) writer.epoch = state->epoch;
      // A full or failing disk may forbid it; the next round tries again.
    });
  }
  wait([&] { return open == 0 || !current_->is_alive(); });
  for (const Writer& writer : current_->writers) {
    if (writer.epoch != 0 && begun_ != 0 && writer.epoch < begun_) fail("an epoch went back");
    begun_ = std::max(begun_, writer.epoch);
  }
}

void KillPoints::check(const Restored& restored, const std::vector<std::string>& loaded) {
  ++restored_;
  if (restored.bytes[static_cast<size_t>(Tier::Memory)] != 0) ++from_memory_;
  if (restored.bytes[static_cast<size_t>(Tier::Fetched)] != 0) ++from_peers_;
  const auto all = tensors();
  for (size_t i = 0; i < all.size(); ++i) {
    if (loaded[i] != content(all[i], restored.version)) {
      fail(fmt::format("tensor {} of epoch {} step {} was loaded wrong", all[i].name,
                       restored.version.epoch, restored.version.step));
    }
  }
  for (const std::string& extra : restored.extras) {
    if (extra != std::to_string(restored.version.step)) fail("an extra of another step");
  }
}

void KillPoints::restore(bool is_damaged) {
  Writer& writer = current_->writers.front();
  if (writer.epoch == 0 || !writer.process->is_alive()) return;
  std::vector<std::string> loaded;
  std::vector<Target> targets;
  for (const Tensor& tensor : tensors()) {
    loaded.emplace_back(decide::checkpoint::bytes_of(tensor, whole(tensor)), '\0');
  }
  for (size_t i = 0; i < loaded.size(); ++i) {
    targets.push_back({{tensors()[i], whole(tensors()[i])}, loaded[i].data()});
  }
  world::Files& files = writer.process->world().files;
  const Memory memory{files, kMemory,
                      [&](const base::Json& question) { return ask_peers(files, question); }};
  const Seeker seeker{"job", generation_, writer.epoch, 0};
  Choice choice;
  if (rng_.chance(0.3)) {  // as the job's controller would
    const auto newest = newest_in_memory(memory, writer.place.get(), seeker);
    if (newest.ok()) choice.named = *newest;
  }
  if (!choice.named && named_from_peers().step >= 0) choice.named = named_from_peers();
  std::unique_ptr<base::Result<Restored>> result;
  pelton::checkpoint::restore(memory, writer.place.get(), seeker, choice, targets, [&](auto r) {
    result = std::make_unique<base::Result<Restored>>(std::move(r));
  });
  wait([&] { return result || !writer.process->is_alive(); });
  // The machine may have failed while a part was fetched.
  if (!result || !writer.process->is_alive()) return;
  if (result->ok()) {
    check(**result, loaded);
    if (!is_damaged && (*result)->version < acknowledged_) {
      fail(fmt::format("epoch {} step {} was committed, and epoch {} step {} was found; {}{}",
                       acknowledged_.epoch, acknowledged_.step, (*result)->version.epoch,
                       (*result)->version.step, choice.named ? "it was named; " : "",
                       fmt::join((*result)->passed_over, "; ")));
    }
    if (!is_damaged && !has_zombie() && (*result)->version < remembered_) {
      fail(fmt::format("epoch {} step {} was in memory, and epoch {} step {} was found",
                       remembered_.epoch, remembered_.step, (*result)->version.epoch,
                       (*result)->version.step));
    }
    const Version version = (*result)->version;
    const auto& bytes = (*result)->bytes;
    if (bytes[static_cast<size_t>(Tier::Durable)] != 0 &&
        bytes[static_cast<size_t>(Tier::Memory)] == 0 &&
        bytes[static_cast<size_t>(Tier::Fetched)] == 0) {  // memory is gone with the machine
      acknowledged_ = version;
      is_rotten_ = false;
      std::erase_if(peers_, [](const auto& each) { return each.second.is_damaged; });
    } else if (is_damaged) {
      acknowledged_ = std::min(acknowledged_, version);
    }
    if (!has_zombie()) remembered_ = version;
    step_ = version.step;
    for (Writer& each : current_->writers) each.areas->keep({(*result)->generation, step_});
  } else if (result->error().code() == base::Code::NotFound) {
    if (!is_damaged && acknowledged_.step >= 0) fail("what was committed is gone");
  } else if (!is_damaged && !(choice.named && has_zombie())) {
    fail("restoring failed: " + result->error().to_string());
  }
  if (is_damaged && !result->ok()) acknowledged_ = remembered_ = {-1, -1};
}

void KillPoints::on_saved(Attempt& attempt, Version version, const base::Result<Saved>& saved) {
  if (!saved.ok() || *saved != Saved::Committed) return;
  ++committed_;
  if (version.epoch < begun_) fail("an attempt was told that it committed after it was fenced");
  acknowledged_ = std::max(acknowledged_, version);
  for (Writer& writer : attempt.writers) {
    if (writer.process->is_alive()) return clean(*writer.place, 2, [] {});
  }
}

bool KillPoints::has_zombie() const {
  return !past_.empty() && past_.back()->is_alive();
}

/// False where the process died on its way.
bool KillPoints::copy(Writer& writer, Manifest& manifest, char* to) {
  for (auto& slice : manifest.slices) {
    if (rng_.chance(kill_in_copy_)) writer.process->kill();
    if (!writer.process->is_alive()) return false;
    const Tensor& tensor = manifest.tensors[slice.tensor];
    const std::string bytes = content(tensor, {manifest.epoch, manifest.step});
    std::string part(decide::checkpoint::bytes_of(tensor, slice.box), '\0');
    for_each_stretch(tensor, whole(tensor), slice.box, [&](const auto& stretch) {
      std::copy_n(bytes.data() + stretch.from, stretch.bytes, part.data() + stretch.to);
    });
    slice.checksums = copy_and_hash_chunks(to + slice.at, part.data(), part.size());
  }
  return true;
}

void KillPoints::on_published(Attempt& attempt, Version version) {
  if (++attempt.published[version.step] != attempt.writers.size()) return;
  // A zombie's is nothing that the next attempt has to go back to.
  if (&attempt == current_.get()) remembered_ = std::max(remembered_, version);
  if (rng_.chance(0.3)) keep(attempt, version.step);
  if (rng_.chance(0.3)) copy_to_peers(attempt, version);
}

/// As an agent does that copies from it.
void KillPoints::keep(const Attempt& attempt, int64_t step) {
  if (kept_) return;
  world::Files& files = machine_.start("agent").world().files;
  const std::string directory = fmt::format(
      "{}/{}", kMemory, decide::checkpoint::memory_directory({attempt.generation, step}));
  const std::string from = directory + "/" + data_name(rng_.below(attempt.writers.size()));
  const std::string to = std::string(kMemory) + "/kept";
  const auto bytes = files.read(from);
  if (!bytes.ok() || !files.link(from, to).ok()) return;
  kept_ = std::make_unique<Kept>(Kept{to, *bytes});
  ++kept_count_;
}

/// Nobody has written there. `may_be_gone`: with the machine, or for want of room.
void KillPoints::check_kept(bool may_be_gone) {
  if (!kept_) return;
  world::Files& files = machine_.start("agent").world().files;
  const auto bytes = files.read(kept_->name);
  const bool is_same = bytes.ok() && *bytes == kept_->bytes;
  if (!is_same && !may_be_gone && !is_rotten_) fail(kept_->name + " was written over");
  if (is_same && rng_.chance(0.5)) return;
  if (bytes.ok()) files.remove(kept_->name).ignore("the machine is down");
  kept_.reset();
}

/// One bit of them may change on the way.
void KillPoints::copy_to_peers(const Attempt& attempt, Version version) {
  world::Files& files = machine_.start("agent").world().files;
  const decide::checkpoint::MemoryVersion held{attempt.generation, version.step};
  const std::string directory =
      fmt::format("{}/{}/", kMemory, decide::checkpoint::memory_directory(held));
  PeerVersion copies{version, {}};
  for (uint64_t writer = 0; writer < attempt.writers.size(); ++writer) {
    const auto manifest = files.read(directory + manifest_name(writer));
    const auto data = files.read(directory + data_name(writer));
    if (!manifest.ok() || !data.ok() || data->empty()) return;
    copies.parts[writer] = {*manifest, *data};
  }
  if (rng_.chance(0.1)) {
    Copy& copy = copies.parts[rng_.below(copies.parts.size())];
    std::string& bytes = rng_.chance(0.2) ? copy.manifest : copy.data;
    bytes[rng_.below(bytes.size())] ^= static_cast<char>(1U << rng_.below(8));
    is_rotten_ = copies.is_damaged = true;
    ++damaged_;
  }
  peers_[held] = std::move(copies);
  while (peers_.size() > 3) peers_.erase(peers_.begin());
}

/// As agents answer, but without verifying anything.
base::Result<base::Json> KillPoints::ask_peers(world::Files& files, const base::Json& question) {
  using base::Json;
  const std::string asked =
      question["version"].as_string() + question["fetch"].as_string();  // one of them
  const std::string name = asked.substr(0, asked.find('/'));
  const auto version = decide::checkpoint::memory_version(name);
  const auto found = version ? peers_.find(*version) : peers_.end();
  if (found == peers_.end()) return Json::object({{"error", "nobody holds it"}});
  const std::string directory = std::string(kMemory) + "/" + name + "/";
  PELTON_TRY(files.make_directories(directory));
  Json::Array parts;
  for (const auto& [writer, copy] : found->second.parts) {
    const bool is_asked = asked == fmt::format("{}/w{:05d}", name, writer);
    const std::string manifest = directory + manifest_name(writer);
    if (question["fetch"].is_null()) {
      PELTON_TRY(files.replace(manifest + ".remote", copy.manifest));
      parts.emplace_back(static_cast<int64_t>(writer));
    } else if (is_asked) {
      PELTON_TRY(files.replace(directory + data_name(writer), copy.data));
      PELTON_TRY(files.replace(manifest, copy.manifest));
      return Json::object({{"done", true}});
    }
  }
  if (question["fetch"].is_null()) return Json::object({{"parts", std::move(parts)}});
  return Json::object({{"error", "nobody holds it"}});
}

/// What a controller would name that knows of nothing newer; step -1: nothing.
decide::checkpoint::MemoryVersion KillPoints::named_from_peers() const {
  for (auto each = peers_.rbegin(); each != peers_.rend(); ++each) {
    const Version version = each->second.version;
    if (version >= acknowledged_ && version >= remembered_) return each->first;
  }
  return {-1, -1};
}

void KillPoints::save_one(Attempt& attempt, size_t w, int64_t step, bool is_durable) {
  Writer& writer = attempt.writers[w];
  Manifest manifest;
  manifest.job = "job";
  manifest.run = "run";
  manifest.generation = attempt.generation;
  manifest.step = step;
  manifest.epoch = writer.epoch;
  manifest.writer = w;
  manifest.writers = attempt.writers.size();
  manifest.extra = std::to_string(step);
  manifest.tensors = tensors();
  for (size_t i = 0; i < manifest.tensors.size(); ++i) {
    const auto box = decide::checkpoint::share_of(manifest.tensors[i], w, manifest.writers, i);
    if (box) manifest.slices.push_back({i, *box, 0, {}});
  }
  lay_out(manifest);
  const Areas::Version held{attempt.generation, step};
  const Version version{writer.epoch, step};
  Areas::Area* const area = writer.areas->next(held);
  if (!area || !writer.areas->begin(*area, held, manifest.file_bytes).ok()) return;
  if (!copy(writer, manifest, area->region->data())) return;
  writer.areas->publish(*area, held, manifest);
  if (area->version == held) on_published(attempt, version);
  if (!is_durable || !writer.process->is_alive()) return;
  writer.is_busy = area->is_busy = true;
  const std::string_view bytes(area->region->data(), manifest.file_bytes);
  const auto done = [this, &attempt, w, version, area](const auto& saved) {
    attempt.writers[w].is_busy = area->is_busy = false;
    on_saved(attempt, version, saved);
  };
  save_part(*writer.place, manifest, bytes, done);
}

void KillPoints::save(Attempt& attempt, int64_t step) {
  // Without one of them there is no next step.
  for (const Writer& writer : attempt.writers) {
    if (!writer.process->is_alive()) return;
  }
  const bool is_durable = rng_.chance(0.7);
  for (size_t w = 0; w < attempt.writers.size(); ++w) {
    const Writer& writer = attempt.writers[w];
    if (writer.epoch == 0 || writer.is_busy || !writer.process->is_alive()) continue;
    save_one(attempt, w, step, is_durable);
  }
}

void KillPoints::damage() {
  // One bit of one file below one of the steps; all copies of it are gone then.
  world::Files& files = machine_.start("rot").world().files;
  const std::string tier = rng_.chance(0.5) ? kMemory : kDirectory;
  const auto steps = files.list(tier);
  if (!steps.ok() || steps->empty()) return;
  const std::string step = tier + "/" + (*steps)[rng_.below(steps->size())].name;
  const auto found = files.list(step);
  if (!found.ok() || found->empty()) return;
  const auto& file = (*found)[rng_.below(found->size())];
  if (file.size == 0) return;
  if (machine_.disk().corrupt(step + "/" + file.name, rng_.below(file.size))) ++damaged_;
  is_rotten_ = true;
  check_kept(true);
}

bool KillPoints::round() {
  enum {
    kPowerLoss,
    kPowerLossEarly,
    kKill,
    kKillInCopy,
    kZombie,
    kFull,
    kSyncFails,
    kDamage,
    kFaults
  };
  const uint64_t fault = rng_.below(kFaults);
  if (fault == kPowerLossEarly) machine_.crash_at_disk_operation(1 + rng_.below(12));
  if (fault == kDamage) damage();
  begin();
  if (fault == kDamage && rng_.chance(0.5)) damage();  // while it is read
  if (has_zombie()) remembered_ = {-1, -1};            // it may overwrite its own
  restore(is_rotten_);
  kill_in_copy_ = fault == kKillInCopy ? 0.1 : 0;
  if (fault == kPowerLoss) machine_.crash_at_disk_operation(1 + rng_.below(90));
  if (fault == kSyncFails) machine_.disk().fail_sync(1 + rng_.below(25));
  if (fault == kFull) {
    machine_.disk().set_capacity(machine_.disk().used_bytes() + rng_.below(20'000));
  }
  for (int i = 0; i < 4 && current_->is_alive() && failure_.empty(); ++i) {
    step_ += 10;
    save(*current_, step_);
    if (fault == kDamage && rng_.chance(0.2)) damage();  // while it is on its way to the disk
    // The attempt before this one is still at it.
    if (!past_.empty() && past_.back()->is_alive()) save(*past_.back(), step_ + 5);
    if (fault == kKill && rng_.chance(0.4)) {
      sim_.run_for(Duration::microseconds(rng_.between(1, 30'000)));
      current_->writers[rng_.below(current_->writers.size())].process->kill();
    }
    const auto is_idle = [&] {
      for (const Writer& writer : current_->writers) {
        if (writer.process->is_alive() && writer.is_busy) return false;
      }
      return true;
    };
    if (!wait(is_idle)) fail("a save did not end");
  }
  machine_.disk().set_capacity({});
  machine_.disk().fail_sync(0);
  machine_.crash_at_disk_operation(0);
  const bool is_lost = fault == kPowerLoss || fault == kPowerLossEarly;
  if (is_lost) machine_.crash();
  check_kept(is_lost || fault == kFull);
  if (is_lost) {
    remembered_ = {-1, -1};
  } else if (fault != kZombie) {
    for (Writer& writer : current_->writers) writer.process->kill();
  }
  if (!past_.empty()) {
    for (Writer& writer : past_.back()->writers) writer.process->kill();
  }
  if (fault == kFull) remembered_ = {-1, -1};
  past_.push_back(std::move(current_));
  return failure_.empty();
}

namespace {

/// Seeds to run, of 20 kill points each; --gtest_random_seed=500 runs 10,000.
uint64_t seeds() {
  const auto asked = static_cast<uint64_t>(GTEST_FLAG_GET(random_seed));
  return asked != 0 ? asked : 12;
}

TEST(KillPointsTest, NothingWrongIsLoadedAndWhatWasCommittedIsFound) {
  int restored = 0, committed = 0, damaged = 0, from_memory = 0, from_peers = 0, kept = 0;
  for (uint64_t seed = 1; seed <= seeds(); ++seed) {
    KillPoints job(seed);
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(job.round()) << job.failure();
    restored += job.restored();
    committed += job.committed();
    damaged += job.damaged();
    from_memory += job.from_memory();
    from_peers += job.from_peers();
    kept += job.kept();
  }
  // It did look.
  EXPECT_GT(restored, 100);
  EXPECT_GT(committed, 300);
  EXPECT_GT(damaged, 10);
  EXPECT_GT(from_memory, 50);
  EXPECT_GT(from_peers, 10);
  EXPECT_GT(kept, 50);
  fmt::print(
      "{} kill points: {} restores, none wrong ({} with bytes from memory, {} from peers); {} "
      "commits; {} files damaged\n",
      seeds() * 20, restored, from_memory, from_peers, committed, damaged);
}

}  // namespace
}  // namespace pelton::checkpoint
