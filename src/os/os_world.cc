// SPDX-License-Identifier: Apache-2.0
#include "os/os_world.h"

#include <signal.h>

#include "os/clock.h"
#include "os/files.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/network.h"
#include "os/processes.h"
#include "os/signals.h"
#include "os/workers.h"

namespace pelton::os {
namespace {

constexpr size_t kExecutorThreads = 2;

}  // namespace

/// In the order in which they need each other; destroyed in reverse.
struct OsWorld::Parts {
  Parts(std::unique_ptr<Loop> made_loop, const WorldOptions& options)
      : loop(std::move(made_loop)),
        log(clock, options.log_level, options.log_to_stderr),
        files(*loop, options.files_root),
        network(*loop),
        processes(*loop),
        executor(*loop, kExecutorThreads),
        world{clock, *loop, files, network, processes, executor, random, log} {}

  std::unique_ptr<Loop> loop;
  OsClock clock;
  OsRandom random;
  OsLog log;
  OsFiles files;
  OsNetwork network;
  OsProcesses processes;
  Workers executor;
  std::unique_ptr<StopSignals> signals;
  world::World world;
};

OsWorld::OsWorld(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
OsWorld::~OsWorld() = default;

world::World& OsWorld::world() {
  return parts_->world;
}

void OsWorld::run() {
  parts_->loop->run();
}

void OsWorld::stop() {
  parts_->loop->stop();
}

void OsWorld::on_stop_signal(std::function<void(int)> fn) {
  parts_->signals.reset();
  auto made = StopSignals::make(*parts_->loop, std::move(fn));
  if (made.ok()) {
    parts_->signals = std::move(made).value();
  } else {
    parts_->log.error("signals.unwatched", {{"error", made.error().message()}});
  }
}

base::Result<std::unique_ptr<Screen>> OsWorld::open_screen(ScreenEvents events) {
  return Screen::open(*parts_->loop, std::move(events));
}

base::Result<std::unique_ptr<OsWorld>> make_world(const WorldOptions& options) {
  // A reader of our output that goes away (a pipe, a terminal) must not take us with it.
  ::signal(SIGPIPE, SIG_IGN);
  PELTON_ASSIGN(auto loop, Loop::make());
  auto parts = std::make_unique<OsWorld::Parts>(std::move(loop), options);
  if (!options.log_file.empty()) PELTON_TRY(parts->log.open_file(options.log_file));
  return std::unique_ptr<OsWorld>(new OsWorld(std::move(parts)));
}

}  // namespace pelton::os
