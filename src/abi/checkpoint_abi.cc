// SPDX-License-Identifier: Apache-2.0
// checkpoint/ and os/ put together behind the C interface.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "abi/open_store.h"
#include "checkpoint/agree.h"
#include "checkpoint/areas.h"
#include "checkpoint/copy.h"
#include "checkpoint/memory_restore.h"
#include "checkpoint/pelton_checkpoint.h"
#include "checkpoint/restore.h"
#include "checkpoint/save.h"
#include "decide/checkpoint/interval.h"
#include "os/ask_line.h"
#include "os/loop_thread.h"
#include "os/shared_memory.h"
#include "os/threads.h"

namespace pelton::abi {
namespace {

thread_local std::string last_error, last_answer;

int code_of(const base::Status& status) {
  switch (status.code()) {
    case base::Code::Ok:
      return PELTON_CHECKPOINT_OK;
    case base::Code::InvalidArgument:
      return PELTON_CHECKPOINT_INVALID;
    case base::Code::FailedPrecondition:
      return PELTON_CHECKPOINT_REFUSED;
    case base::Code::DataLoss:
      return PELTON_CHECKPOINT_DAMAGED;
    default:
      return PELTON_CHECKPOINT_FAILED;
  }
}

int report(const base::Status& status) {
  if (!status.ok()) last_error = status.message();
  return code_of(status);
}

}  // namespace
}  // namespace pelton::abi

struct pelton_checkpointer {
  using Areas = pelton::checkpoint::Areas;
  using Manifest = pelton::decide::checkpoint::Manifest;
  using Restored = pelton::checkpoint::Restored;
  using Status = pelton::base::Status;
  using Targets = std::vector<pelton::checkpoint::Target>;
  using Json = pelton::base::Json;

  pelton_checkpointer() = default;
  /// What the loop still does, such as cleaning up, ends before what it uses.
  ~pelton_checkpointer() { thread.reset(); }
  pelton_checkpointer(const pelton_checkpointer&) = delete;
  pelton_checkpointer& operator=(const pelton_checkpointer&) = delete;

  Status open(const Json& options);
  Status begin(const std::string& directory, const Json& options);
  Status open_memory(const std::string& memory_directory);
  pelton::base::Result<Manifest> manifest_of(const Json& what) const;
  Areas::Area& free_area(const Areas::Version& version);
  Status save(const Json& what, const void* const* data);
  Status restore(const Json& what, void* const* data);
  pelton::base::Result<Restored> load(const Targets& targets);
  Status plan(const Json& what);
  void remove_plans(const std::string& but);
  Status agree(const Json& what);
  Status take_error();
  void on_saved(Areas::Area& area, const pelton::base::Result<pelton::checkpoint::Saved>& saved);
  void remove_older();
  void tell_notice();

  Manifest like;  ///< job, run, generation, epoch, writer, writers
  size_t keep = 2;
  bool is_store = false;                ///< the durable tier is an object store
  bool is_one_node = true;              ///< all ranks share the memory tier's directory
  std::optional<Areas::Version> named;  ///< what the job's generation restores
  pelton::decide::checkpoint::ObservedFailures observed;  ///< before it was opened
  int64_t opened_ns = pelton::os::monotonic_ns();
  pelton::os::OsSharedMemory shared_memory;
  std::unique_ptr<pelton::checkpoint::Memory> memory;  ///< the tier; absent: there is none
  std::unique_ptr<pelton::os::LoopThread> thread;
  std::unique_ptr<Areas> areas;
  std::atomic<uint64_t> published = 0;
  int64_t stall_ns = 0;                              ///< of the last save
  std::atomic<int64_t> drain_ns = 0;                 ///< of the last durable one
  std::unique_ptr<pelton::checkpoint::Place> place;  ///< absent: there is no durable tier
  // On the loop only:
  Status error;
  std::atomic<bool> has_error = false;  ///< so that the caller need not wait for the loop to look
  std::function<void()> on_free;
  bool has_removed_older = false;
};

namespace {

using pelton::base::Json;
using pelton::base::Result;
using pelton::base::Status;

/// From here on nobody wants to go back to what an older generation saved: each rank has saved that
/// often, and so has restored and come into step with the others.
constexpr uint64_t kSavesOfItsOwn = 3;
constexpr size_t kMostThreads = 8, kStoreThreads = 16;

Result<Json> parsed(const char* text) {
  if (!text) return pelton::base::invalid_argument("the text is missing");
  return Json::parse(text);
}

void on_threads(const std::function<void()>& work) {
  pelton::os::run_on_threads(pelton::os::useful_threads(kMostThreads), work);
}

/// These wait for a network, not for a processor.
void on_store_threads(const std::function<void()>& work) {
  pelton::os::run_on_threads(kStoreThreads, work);
}

}  // namespace

Status pelton_checkpointer::open(const Json& options) {
  like.job = options["job"].as_string();
  like.run = options["run"].as_string();
  like.generation = options["generation"].as_int(-1);
  like.writer = static_cast<uint64_t>(options["writer"].as_int(0));
  like.writers = static_cast<uint64_t>(options["writers"].as_int(1));
  is_one_node = options["oneNode"].as_bool(like.writers == 1);
  keep = static_cast<size_t>(std::max<int64_t>(1, options["keep"].as_int(2)));
  const std::string directory = options["directory"].as_string();
  const std::string memory_directory = options["memory"].as_string();
  if (directory.empty() && memory_directory.empty()) {
    return pelton::base::invalid_argument(
        "directory: must be given where there is no memory tier (PELTON_MEMORY_DIR)");
  }
  if (like.writer >= like.writers || like.writers > 100'000) {
    return pelton::base::invalid_argument("writer: must be less than `writers`");
  }
  const auto restore = pelton::decide::checkpoint::parse_restore(options["restore"].as_string());
  if (!restore.ok()) return Status(restore.error()).with("PELTON_RESTORE");
  named = *restore;
  const auto failures = pelton::decide::checkpoint::parse_failures(options["failures"].as_string());
  if (!failures.ok()) return Status(failures.error()).with("PELTON_FAILURES_OBSERVED");
  observed = *failures;
  PELTON_ASSIGN(thread, pelton::os::LoopThread::start());
  PELTON_ASSIGN(is_store, pelton::abi::open_store(*thread, directory));  // before files() is used
  PELTON_TRY(open_memory(memory_directory));
  return begin(directory, options);
}

Status pelton_checkpointer::open_memory(const std::string& memory_directory) {
  Areas::Settings settings{"", like.writer, 0};
  if (!memory_directory.empty()) {
    settings.directory = memory_directory + "/checkpoint";
    const std::string socket = memory_directory + "/peers.sock";
    const auto ask = [socket](const Json& question) -> Result<Json> {
      constexpr auto kSilence = pelton::base::Duration::minutes(5);
      PELTON_ASSIGN(const std::string answer,
                    pelton::os::ask_line(socket, question.dump(), kSilence));
      return Json::parse(answer);
    };
    memory = std::make_unique<pelton::checkpoint::Memory>(
        pelton::checkpoint::Memory{thread->files(), settings.directory, ask});
    PELTON_TRY(pelton::checkpoint::check_owner(*memory, like.job));
  }
  // Who is alone and was told of no generation is a later one than whoever was there before.
  if (like.generation < 0) {
    like.generation = memory ? pelton::checkpoint::last_generation(*memory) + 1 : 0;
  }
  settings.generation = like.generation;
  areas = std::make_unique<Areas>(thread->files(), shared_memory, std::move(settings));
  return areas->adopt();
}

Status pelton_checkpointer::begin(const std::string& directory, const Json& options) {
  like.epoch = like.generation;
  if (directory.empty()) return pelton::base::ok();
  const pelton::decide::checkpoint::Attempt attempt{like.job, options["run"].as_string(),
                                                    like.generation};
  Status status;
  thread->wait_for([&](const std::function<void()>& done) {
    auto& files = thread->files();
    const std::string name = fmt::format("w{:05d}-{}", like.writer, attempt.generation);
    place = std::make_unique<pelton::checkpoint::Place>(pelton::checkpoint::Place{
        files, directory, pelton::checkpoint::LogFile(files, directory, name)});
    pelton::checkpoint::begin_attempt(*place, attempt, [&, done](const auto& state) {
      if (state.ok()) like.epoch = state->epoch;
      if (!state.ok()) status = Status(state.error()).with(directory);
      done();
    });
  });
  return status;
}

Result<pelton_checkpointer::Manifest> pelton_checkpointer::manifest_of(const Json& what) const {
  namespace decide = pelton::decide::checkpoint;
  Manifest manifest = like;
  manifest.step = what["step"].as_int(0);
  if (manifest.step < 0) return pelton::base::invalid_argument("step: must be an integer from 0");
  manifest.extra = what["extra"].as_string();
  for (const Json& each : what["tensors"].items()) {
    PELTON_ASSIGN(auto tensor, decide::tensor_of(each));
    manifest.tensors.push_back(std::move(tensor));
  }
  PELTON_TRY(decide::check(manifest.tensors));
  for (const Json& each : what["slices"].items()) {
    const int64_t tensor = each["tensor"].as_int(-1);
    if (tensor < 0 || static_cast<size_t>(tensor) >= manifest.tensors.size()) {
      return pelton::base::invalid_argument("slices: tensor: there is no such place in `tensors`");
    }
    decide::Slice slice{static_cast<uint64_t>(tensor), {}, 0, {}};
    PELTON_ASSIGN(slice.box.offset, decide::extents_of(each["offset"], "slices: offset"));
    PELTON_ASSIGN(slice.box.extent, decide::extents_of(each["extent"], "slices: extent"));
    PELTON_TRY(decide::check(manifest.tensors[slice.tensor], slice.box));
    manifest.slices.push_back(std::move(slice));
  }
  decide::lay_out(manifest);
  return manifest;
}

pelton_checkpointer::Areas::Area& pelton_checkpointer::free_area(const Areas::Version& version) {
  for (;;) {
    if (Areas::Area* const area = areas->next(version)) return *area;
    // Waiting is all that there is to do: what is being written must not be changed.
    thread->wait_for([&](const std::function<void()>& done) {
      if (areas->next(version)) return done();
      on_free = done;
    });
  }
}

void pelton_checkpointer::on_saved(Areas::Area& area,
                                   const Result<pelton::checkpoint::Saved>& saved) {
  if (!saved.ok()) {
    error = saved.error();
    has_error = true;
  }
  area.is_busy = false;
  if (on_free) std::exchange(on_free, nullptr)();
  if (saved.ok() && *saved == pelton::checkpoint::Saved::Committed) {
    pelton::checkpoint::clean(*place, keep, [] {});
  }
  if (memory && !has_removed_older && published >= kSavesOfItsOwn) remove_older();
}

/// What older generations left in memory, once something newer is safe for all.
void pelton_checkpointer::remove_older() {
  const auto state = place->log.read();
  if (!state.ok() || !state->newest() || state->newest()->epoch != like.epoch) return;
  has_removed_older = true;
  areas->remove_older();
}

void pelton_checkpointer::tell_notice() {
  const std::string notice = areas->take_notice();
  if (!notice.empty()) fmt::print(stderr, "pelton checkpoint: {}\n", notice);
}

Status pelton_checkpointer::take_error() {
  Status taken;
  if (!has_error) return taken;
  thread->wait_for([&](const std::function<void()>& done) {
    has_error = false;
    taken = std::exchange(error, Status());
    done();
  });
  return taken;
}

Status pelton_checkpointer::save(const Json& what, const void* const* data) {
  PELTON_ASSIGN(Manifest manifest, manifest_of(what));
  const Areas::Version version{like.generation, manifest.step};
  Areas::Area& area = free_area(version);
  const int64_t begun = pelton::os::monotonic_ns();
  PELTON_TRY(areas->begin(area, version, manifest.file_bytes));
  for (size_t i = 0; i < manifest.slices.size(); ++i) {
    auto& slice = manifest.slices[i];
    const uint64_t bytes =
        pelton::decide::checkpoint::bytes_of(manifest.tensors[slice.tensor], slice.box);
    slice.checksums = pelton::checkpoint::copy_and_hash_chunks(
        area.region->data() + slice.at, static_cast<const char*>(data[i]), bytes);
  }
  areas->publish(area, version, manifest);
  published = areas->published();
  const int64_t ended = pelton::os::monotonic_ns();
  stall_ns = ended - begun;
  tell_notice();
  if (!place || !what["durable"].as_bool(true)) {
    if (!place && is_one_node && published == kSavesOfItsOwn) areas->remove_older();
    return pelton::base::ok();
  }
  area.is_busy = true;
  thread->post([this, &area, ended, manifest = std::move(manifest)] {
    const std::string_view bytes(area.region->data(), manifest.file_bytes);
    pelton::checkpoint::save_part(*place, manifest, bytes, [this, &area, ended](const auto& saved) {
      drain_ns = pelton::os::monotonic_ns() - ended;
      on_saved(area, saved);
    });
  });
  return pelton::base::ok();
}

Status pelton_checkpointer::plan(const Json& what) {
  namespace decide = pelton::decide::checkpoint;
  using pelton::base::Duration;
  const int64_t step = what["step"].as_int();
  if (!place && !is_one_node) {
    return pelton::base::invalid_argument(
        "every: ranks on several nodes agree about it in a directory; give one, or a number");
  }
  const double step_ns = what["stepSeconds"].as_double() * 1e9;
  const double nodes = static_cast<double>(what["nodes"].as_int(1));
  decide::ObservedFailures until_now = observed;
  // The attempt has gone well for so long.
  const double seconds = static_cast<double>(pelton::os::monotonic_ns() - opened_ns) / 1e9;
  until_now.node_seconds += static_cast<int64_t>(std::clamp(seconds * nodes, 0.0, 1e15));
  const decide::SavePlan plan = decide::plan_saves(
      {.stall = Duration::nanoseconds(stall_ns),
       .drain = Duration::nanoseconds(drain_ns),
       .step = Duration::nanoseconds(static_cast<int64_t>(std::clamp(step_ns, 0.0, 1e15))),
       .nodes = nodes,
       .has_memory = memory != nullptr,
       .has_durable = place != nullptr,
       .observed = until_now});
  const std::string mine =
      Json::object({{"memory", plan.memory}, {"next", step + plan.durable}}).dump();
  const std::string path =
      place ? place->directory + "/" + decide::step_directory(step, like.epoch) + "/plan"
            : fmt::format("{}/plan-g{}-s{}", memory->directory, like.generation, step);
  Result<std::string> agreed = mine;
  thread->wait_for([&](const std::function<void()>& done) {
    agreed = pelton::checkpoint::agree(place ? place->files : memory->files, path,
                                       fmt::format("w{}", like.writer), mine);
    if (!place) remove_plans(path);
    done();
  });
  if (!agreed.ok()) return agreed.error();
  pelton::abi::last_answer = *agreed;
  return pelton::base::ok();
}

/// Those before this one: all ranks have read them.
void pelton_checkpointer::remove_plans(const std::string& but) {
  const auto entries = memory->files.list(memory->directory);
  if (!entries.ok()) return;
  for (const auto& entry : *entries) {
    const std::string path = memory->directory + "/" + entry.name;
    if (!entry.name.starts_with("plan-") || path == but) continue;
    memory->files.remove(path).ignore("a peer was quicker");
  }
}

Status pelton_checkpointer::agree(const Json& what) {
  if (!place) return pelton::base::invalid_argument("directory: the ranks have none in common");
  const std::string path =
      fmt::format("{}/agreed/e{}-{}", place->directory, like.epoch, what["name"].as_string());
  Result<std::string> agreed = pelton::base::not_found(path);
  thread->wait_for([&](const std::function<void()>& done) {
    if (what.contains("mine")) {
      agreed = pelton::checkpoint::agree(place->files, path, fmt::format("w{}", like.writer),
                                         what["mine"].as_string());
    } else if (place->files.exists(path)) {
      agreed = place->files.read(path);
    }
    done();
  });
  if (!agreed.ok()) return agreed.error();
  pelton::abi::last_answer = *agreed;
  return pelton::base::ok();
}

Result<pelton_checkpointer::Restored> pelton_checkpointer::load(const Targets& targets) {
  namespace checkpoint = pelton::checkpoint;
  const checkpoint::Seeker seeker{like.job, like.generation, like.epoch, like.writer};
  const checkpoint::Choice choice{named, is_one_node, like.writers == 1};
  const checkpoint::Memory none{thread->files(), "", {}};
  Result<Restored> restored = pelton::base::internal_error("no answer");
  thread->wait_for([&](const std::function<void()>& done) {
    const auto take = [&, done](auto found) {
      restored = std::move(found);
      done();
    };
    checkpoint::restore(memory ? *memory : none, place.get(), seeker, choice, targets, take,
                        is_store ? on_store_threads : on_threads);
  });
  return restored;
}

Status pelton_checkpointer::restore(const Json& what, void* const* data) {
  namespace decide = pelton::decide::checkpoint;
  Targets targets;
  for (const Json& each : what["targets"].items()) {
    decide::Wanted wanted;
    PELTON_ASSIGN(wanted.tensor, decide::tensor_of(each));
    PELTON_TRY(decide::check({wanted.tensor}));
    PELTON_ASSIGN(wanted.box.offset, decide::extents_of(each["offset"], "targets: offset"));
    PELTON_ASSIGN(wanted.box.extent, decide::extents_of(each["extent"], "targets: extent"));
    targets.push_back({std::move(wanted), static_cast<char*>(data[targets.size()])});
  }
  PELTON_ASSIGN(const Restored restored, load(targets));
  if (restored.generation >= 0) areas->keep({restored.generation, restored.version.step});
  Json::Array extras, passed;
  for (const std::string& extra : restored.extras) extras.emplace_back(extra);
  for (const std::string& each : restored.passed_over) passed.emplace_back(each);
  using pelton::checkpoint::Tier;
  const auto bytes_from = [&](Tier tier) {
    return static_cast<int64_t>(restored.bytes[static_cast<size_t>(tier)]);
  };
  pelton::abi::last_answer =
      Json::object({{"step", restored.version.step},
                    {"epoch", restored.version.epoch},
                    {"generation", restored.generation},
                    {"bytes", Json::object({{"memory", bytes_from(Tier::Memory)},
                                            {"peers", bytes_from(Tier::Fetched)},
                                            {"durable", bytes_from(Tier::Durable)}})},
                    {"extras", std::move(extras)},
                    {"passedOver", std::move(passed)}})
          .dump();
  return pelton::base::ok();
}

const char* pelton_checkpoint_error(void) {
  return pelton::abi::last_error.c_str();
}

int pelton_checkpoint_open(const char* options, pelton_checkpointer** made) {
  const Result<Json> json = parsed(options);
  if (!json.ok()) return pelton::abi::report(json.error());
  auto checkpointer = std::make_unique<pelton_checkpointer>();
  const Status status = checkpointer->open(*json);
  if (status.ok()) *made = checkpointer.release();
  return pelton::abi::report(status);
}

int pelton_checkpoint_save(pelton_checkpointer* checkpointer, const char* what,
                           const void* const* data) {
  const Result<Json> json = parsed(what);
  if (!json.ok()) return pelton::abi::report(json.error());
  const Status earlier = checkpointer->take_error();
  if (!earlier.ok()) return pelton::abi::report(earlier);
  return pelton::abi::report(checkpointer->save(*json, data));
}

int pelton_checkpoint_prepare(pelton_checkpointer* checkpointer, const char* what) {
  const Result<Json> json = parsed(what);
  if (!json.ok()) return pelton::abi::report(json.error());
  const auto manifest = checkpointer->manifest_of(*json);
  if (!manifest.ok()) return pelton::abi::report(manifest.error());
  const Status made = checkpointer->areas->prepare(manifest->file_bytes);
  checkpointer->tell_notice();
  return pelton::abi::report(made);
}

int pelton_checkpoint_plan(pelton_checkpointer* checkpointer, const char* what,
                           const char** answer) {
  const Result<Json> json = parsed(what);
  if (!json.ok()) return pelton::abi::report(json.error());
  const int code = pelton::abi::report(checkpointer->plan(*json));
  if (code == PELTON_CHECKPOINT_OK) *answer = pelton::abi::last_answer.c_str();
  return code;
}

int pelton_checkpoint_agree(pelton_checkpointer* checkpointer, const char* what,
                            const char** answer) {
  const Result<Json> json = parsed(what);
  if (!json.ok()) return pelton::abi::report(json.error());
  const Status status = checkpointer->agree(*json);
  const int code = pelton::abi::report(status);
  if (code == PELTON_CHECKPOINT_OK) *answer = pelton::abi::last_answer.c_str();
  return status.code() == pelton::base::Code::NotFound ? PELTON_CHECKPOINT_NONE : code;
}

int pelton_checkpoint_wait(pelton_checkpointer* checkpointer) {
  for (auto& area : checkpointer->areas->areas()) {
    while (area.is_busy) {
      checkpointer->thread->wait_for([&](const std::function<void()>& done) {
        if (!area.is_busy) return done();
        checkpointer->on_free = done;
      });
    }
  }
  return pelton::abi::report(checkpointer->take_error());
}

int pelton_checkpoint_newest(pelton_checkpointer* checkpointer, int64_t* step) {
  if (!checkpointer->place) {
    const auto held = pelton::checkpoint::held_in_memory(*checkpointer->memory,
                                                         {checkpointer->like.job, 0, 0, 0});
    *step = held ? held->step : -1;
    return PELTON_CHECKPOINT_OK;
  }
  Status status;
  checkpointer->thread->wait_for([&](const std::function<void()>& done) {
    const auto state = checkpointer->place->log.read();
    status = state.status();
    *step = state.ok() && state->newest() ? state->newest()->step : -1;
    done();
  });
  return pelton::abi::report(status);
}

int pelton_checkpoint_restore(pelton_checkpointer* checkpointer, const char* what,
                              void* const* data, const char** answer) {
  const Result<Json> json = parsed(what);
  if (!json.ok()) return pelton::abi::report(json.error());
  const Status status = checkpointer->restore(*json, data);
  const int code = pelton::abi::report(status);
  if (code == PELTON_CHECKPOINT_OK) *answer = pelton::abi::last_answer.c_str();
  return status.code() == pelton::base::Code::NotFound ? PELTON_CHECKPOINT_NONE : code;
}

void pelton_checkpoint_close(pelton_checkpointer* checkpointer) {
  if (!checkpointer) return;
  if (checkpointer->areas && pelton_checkpoint_wait(checkpointer) != PELTON_CHECKPOINT_OK) {
    // Reported by nobody any more: who wants to know waits first.
  }
  delete checkpointer;
}
