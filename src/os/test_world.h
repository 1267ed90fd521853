// SPDX-License-Identifier: Apache-2.0
// For tests: a real world with a directory of its own, and a watchdog instead of patience.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

#include "os/os_world.h"

namespace pelton::os {

class RealWorldTest : public ::testing::Test {
 protected:
  RealWorldTest() {
    char path[] = "/tmp/pelton-test-XXXXXX";
    directory_ = ::mkdtemp(path);
    auto made = make_world({.log_level = base::Severity::Error});
    world_ = std::move(made).value();
  }
  ~RealWorldTest() override {
    world_.reset();
    std::filesystem::remove_all(directory_);
  }

  world::World& world() { return world_->world(); }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  void stop() { world_->stop(); }
  /// Runs the loop until stop(); a test that hangs fails after a minute.
  void run() {
    world::Timer watchdog(world().timers);
    watchdog.start(base::Duration::seconds(60), [this] {
      ADD_FAILURE() << "nothing stopped the loop";
      stop();
    });
    world_->run();
  }
  /// Runs until the next turns have passed, so that "does not happen" can be seen.
  void settle() {
    world().timers.after(base::Duration::milliseconds(20), [this] { stop(); });
    run();
  }

  std::string directory_;
  std::unique_ptr<OsWorld> world_;
};

}  // namespace pelton::os
