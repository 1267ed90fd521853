// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/kill_points.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/strings.h"
#include "checkpoint/copy.h"

namespace pelton::checkpoint {

using base::Duration;
using decide::checkpoint::Manifest;
using decide::checkpoint::Tensor;
using decide::checkpoint::whole;

namespace {
constexpr const char* kDirectory = "/checkpoints";
}

struct KillPoints::Writer {
  sim::SimProcess* process = nullptr;
  std::unique_ptr<Place> place;
  int64_t epoch = 0;
  bool is_busy = false;
};

/// Writers of one generation; buffers live as long as a save under way needs them.
struct KillPoints::Attempt {
  int64_t generation = 0;
  std::vector<Writer> writers;
  std::vector<std::unique_ptr<std::string>> buffers;
  bool is_alive() const {
    for (const Writer& writer : writers) {
      if (writer.process->is_alive()) return true;
    }
    return false;
  }
};

KillPoints::KillPoints(uint64_t seed)
    : sim_(seed), machine_(sim_.add_machine("server")), rng_(sim_.rng("workload")) {}
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
  std::unique_ptr<base::Result<Restored>> result;
  restore_newest(*writer.place, targets, true,
                 [&](auto r) { result = std::make_unique<base::Result<Restored>>(std::move(r)); });
  wait([&] { return result || !writer.process->is_alive(); });
  if (!result) return;
  if (result->ok()) {
    check(**result, loaded);
    if (!is_damaged && (*result)->version < acknowledged_) {
      fail(fmt::format("epoch {} step {} was committed, and epoch {} step {} was found",
                       acknowledged_.epoch, acknowledged_.step, (*result)->version.epoch,
                       (*result)->version.step));
    }
    acknowledged_ = (*result)->version;
    step_ = acknowledged_.step;
  } else if (result->error().code() == base::Code::NotFound) {
    if (!is_damaged && acknowledged_.step >= 0) fail("what was committed is gone");
  } else if (!is_damaged) {
    fail("restoring failed: " + result->error().to_string());
  }
  if (is_damaged && !result->ok()) acknowledged_ = {-1, -1};
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

void KillPoints::save(Attempt& attempt, int64_t step) {
  for (size_t w = 0; w < attempt.writers.size(); ++w) {
    Writer& writer = attempt.writers[w];
    if (writer.epoch == 0 || writer.is_busy || !writer.process->is_alive()) continue;
    Manifest manifest;
    manifest.job = "job";
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
    const Version version{writer.epoch, step};
    auto buffer = std::make_unique<std::string>(manifest.file_bytes, '\0');
    for (auto& slice : manifest.slices) {
      const Tensor& tensor = manifest.tensors[slice.tensor];
      const std::string bytes = content(tensor, version);
      char* const to = buffer->data() + slice.at;
      for_each_stretch(tensor, whole(tensor), slice.box, [&](const auto& stretch) {
        std::copy_n(bytes.data() + stretch.from, stretch.bytes, to + stretch.to);
      });
      const std::string part(to, decide::checkpoint::bytes_of(tensor, slice.box));
      slice.checksums = copy_and_hash_chunks(to, part.data(), part.size());
    }
    writer.is_busy = true;
    save_part(*writer.place, manifest, *buffer, [this, &attempt, w, version](const auto& saved) {
      attempt.writers[w].is_busy = false;
      on_saved(attempt, version, saved);
    });
    attempt.buffers.push_back(std::move(buffer));
  }
}

void KillPoints::damage() {
  // One bit of one file below one of the steps; all copies of it are gone then.
  world::Files& files = machine_.start("rot").world().files;
  const auto steps = files.list(kDirectory);
  if (!steps.ok() || steps->empty()) return;
  const std::string step = std::string(kDirectory) + "/" + (*steps)[rng_.below(steps->size())].name;
  const auto found = files.list(step);
  if (!found.ok() || found->empty()) return;
  const auto& file = (*found)[rng_.below(found->size())];
  if (file.size == 0) return;
  if (machine_.disk().corrupt(step + "/" + file.name, rng_.below(file.size))) ++damaged_;
}

bool KillPoints::round() {
  enum { kPowerLoss, kPowerLossEarly, kKill, kZombie, kFull, kSyncFails, kDamage, kFaults };
  const uint64_t fault = rng_.below(kFaults);
  if (fault == kPowerLossEarly) machine_.crash_at_disk_operation(1 + rng_.below(12));
  if (fault == kDamage) damage();
  begin();
  restore(fault == kDamage);
  if (fault == kPowerLoss) machine_.crash_at_disk_operation(1 + rng_.below(90));
  if (fault == kSyncFails) machine_.disk().fail_sync(1 + rng_.below(25));
  if (fault == kFull) {
    machine_.disk().set_capacity(machine_.disk().used_bytes() + rng_.below(20'000));
  }
  for (int i = 0; i < 4 && current_->is_alive() && failure_.empty(); ++i) {
    step_ += 10;
    save(*current_, step_);
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
  if (fault == kPowerLoss || fault == kPowerLossEarly) {
    machine_.crash();
  } else if (fault != kZombie) {
    for (Writer& writer : current_->writers) writer.process->kill();
  }
  if (!past_.empty()) {
    for (Writer& writer : past_.back()->writers) writer.process->kill();
  }
  past_.push_back(std::move(current_));
  return failure_.empty();
}

namespace {

/// Seeds to run, of 20 kill points each; --gtest_random_seed=500 runs 10,000 (about 7 minutes with
/// sanitizers).
uint64_t seeds() {
  const auto asked = static_cast<uint64_t>(GTEST_FLAG_GET(random_seed));
  return asked != 0 ? asked : 12;
}

TEST(KillPointsTest, NothingWrongIsLoadedAndWhatWasCommittedIsFound) {
  int restored = 0, committed = 0, damaged = 0;
  for (uint64_t seed = 1; seed <= seeds(); ++seed) {
    KillPoints job(seed);
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(job.round()) << job.failure();
    restored += job.restored();
    committed += job.committed();
    damaged += job.damaged();
  }
  // It did look.
  EXPECT_GT(restored, 100);
  EXPECT_GT(committed, 300);
  EXPECT_GT(damaged, 10);
  RecordProperty("restored", restored);
  RecordProperty("committed", committed);
}

}  // namespace
}  // namespace pelton::checkpoint
