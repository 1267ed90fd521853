// SPDX-License-Identifier: Apache-2.0
// checkpoint/ and os/ put together behind the C interface.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "abi/open_store.h"
#include "checkpoint/copy.h"
#include "checkpoint/pelton_checkpoint.h"
#include "checkpoint/restore.h"
#include "checkpoint/save.h"
#include "os/loop_thread.h"
#include "os/shared_memory.h"

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

/// Where a save's bytes wait for the disk.
struct Buffer {
  std::unique_ptr<world::Region> region;
  std::atomic<bool> is_busy = false;  ///< the loop reads it; set by the caller, cleared there
};

}  // namespace
}  // namespace pelton::abi

struct pelton_checkpointer {
  using Manifest = pelton::decide::checkpoint::Manifest;
  using Status = pelton::base::Status;
  using Json = pelton::base::Json;

  /// The loop ends before what its callbacks use.
  ~pelton_checkpointer() { thread.reset(); }

  Status open(const Json& options);
  pelton::base::Result<Manifest> manifest_of(const Json& what) const;
  Status make_room(pelton::abi::Buffer& buffer, size_t size);
  pelton::abi::Buffer& free_buffer();
  Status save(const Json& what, const void* const* data);
  Status restore(const Json& what, void* const* data);
  Status take_error();
  void on_saved(pelton::abi::Buffer& buffer,
                const pelton::base::Result<pelton::checkpoint::Saved>& saved);

  Manifest like;  ///< job, epoch, writer, writers
  size_t keep = 2;
  pelton::os::OsSharedMemory memory;
  std::array<pelton::abi::Buffer, 2> buffers;
  std::unique_ptr<pelton::os::LoopThread> thread;
  // On the loop only:
  std::unique_ptr<pelton::checkpoint::Place> place;
  Status error;
  std::atomic<bool> has_error = false;  ///< so that the caller need not wait for the loop to look
  std::function<void()> on_free;
};

namespace {

using pelton::abi::Buffer;
using pelton::base::Json;
using pelton::base::Result;
using pelton::base::Status;

Result<Json> parsed(const char* text) {
  if (!text) return pelton::base::invalid_argument("the text is missing");
  return Json::parse(text);
}

}  // namespace

Status pelton_checkpointer::open(const Json& options) {
  like.job = options["job"].as_string();
  like.writer = static_cast<uint64_t>(options["writer"].as_int(0));
  like.writers = static_cast<uint64_t>(options["writers"].as_int(1));
  keep = static_cast<size_t>(std::max<int64_t>(1, options["keep"].as_int(2)));
  const std::string directory = options["directory"].as_string();
  if (directory.empty()) return pelton::base::invalid_argument("directory: must be given");
  if (like.writer >= like.writers || like.writers > 100'000) {
    return pelton::base::invalid_argument("writer: must be less than `writers`");
  }
  PELTON_ASSIGN(thread, pelton::os::LoopThread::start());
  PELTON_TRY(pelton::abi::open_store(*thread, directory));
  const pelton::decide::checkpoint::Attempt attempt{like.job, options["run"].as_string(),
                                                    options["generation"].as_int()};
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

Status pelton_checkpointer::make_room(Buffer& buffer, size_t size) {
  if (buffer.region && buffer.region->size() >= size) return pelton::base::ok();
  buffer.region.reset();
  PELTON_ASSIGN(buffer.region, memory.map("", size));
  return pelton::base::ok();
}

Buffer& pelton_checkpointer::free_buffer() {
  for (;;) {
    for (Buffer& buffer : buffers) {
      if (!buffer.is_busy) return buffer;
    }
    // Waiting is all that there is to do: what is being written must not be changed.
    thread->wait_for([this](const std::function<void()>& done) {
      for (const Buffer& buffer : buffers) {
        if (!buffer.is_busy) return done();
      }
      on_free = done;
    });
  }
}

void pelton_checkpointer::on_saved(Buffer& buffer, const Result<pelton::checkpoint::Saved>& saved) {
  if (!saved.ok()) {
    error = saved.error();
    has_error = true;
  }
  buffer.is_busy = false;
  if (on_free) std::exchange(on_free, nullptr)();
  if (saved.ok() && *saved == pelton::checkpoint::Saved::Committed) {
    pelton::checkpoint::clean(*place, keep, [] {});
  }
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
  Buffer& buffer = free_buffer();
  PELTON_TRY(make_room(buffer, manifest.file_bytes));
  for (size_t i = 0; i < manifest.slices.size(); ++i) {
    auto& slice = manifest.slices[i];
    const uint64_t bytes =
        pelton::decide::checkpoint::bytes_of(manifest.tensors[slice.tensor], slice.box);
    slice.checksums = pelton::checkpoint::copy_and_hash_chunks(
        buffer.region->data() + slice.at, static_cast<const char*>(data[i]), bytes);
  }
  buffer.is_busy = true;
  thread->post([this, &buffer, manifest = std::move(manifest)] {
    const std::string_view bytes(buffer.region->data(), manifest.file_bytes);
    pelton::checkpoint::save_part(*place, manifest, bytes,
                                  [this, &buffer](const auto& saved) { on_saved(buffer, saved); });
  });
  return pelton::base::ok();
}

Status pelton_checkpointer::restore(const Json& what, void* const* data) {
  namespace decide = pelton::decide::checkpoint;
  std::vector<pelton::checkpoint::Target> targets;
  for (const Json& each : what["targets"].items()) {
    decide::Wanted wanted;
    PELTON_ASSIGN(wanted.tensor, decide::tensor_of(each));
    PELTON_TRY(decide::check({wanted.tensor}));
    PELTON_ASSIGN(wanted.box.offset, decide::extents_of(each["offset"], "targets: offset"));
    PELTON_ASSIGN(wanted.box.extent, decide::extents_of(each["extent"], "targets: extent"));
    targets.push_back({std::move(wanted), static_cast<char*>(data[targets.size()])});
  }
  Result<pelton::checkpoint::Restored> restored = pelton::base::internal_error("no answer");
  thread->wait_for([&](const std::function<void()>& done) {
    const bool is_alone = like.writers == 1;
    pelton::checkpoint::restore_newest(*place, std::move(targets), is_alone, [&, done](auto found) {
      restored = std::move(found);
      done();
    });
  });
  if (!restored.ok()) return restored.error();
  Json::Array extras, passed;
  for (const std::string& extra : restored->extras) extras.emplace_back(extra);
  for (const std::string& each : restored->passed_over) passed.emplace_back(each);
  pelton::abi::last_answer = Json::object({{"step", restored->version.step},
                                           {"epoch", restored->version.epoch},
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
  for (Buffer& buffer : checkpointer->buffers) {
    if (buffer.is_busy) continue;
    const Status made = checkpointer->make_room(buffer, manifest->file_bytes);
    if (!made.ok()) return pelton::abi::report(made);
  }
  return PELTON_CHECKPOINT_OK;
}

int pelton_checkpoint_wait(pelton_checkpointer* checkpointer) {
  for (Buffer& buffer : checkpointer->buffers) {
    while (buffer.is_busy) {
      checkpointer->thread->wait_for([&](const std::function<void()>& done) {
        if (!buffer.is_busy) return done();
        checkpointer->on_free = done;
      });
    }
  }
  return pelton::abi::report(checkpointer->take_error());
}

int pelton_checkpoint_newest(pelton_checkpointer* checkpointer, int64_t* step) {
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
  if (checkpointer->thread && pelton_checkpoint_wait(checkpointer) != PELTON_CHECKPOINT_OK) {
    // Reported by nobody any more: who wants to know waits first.
  }
  delete checkpointer;
}
