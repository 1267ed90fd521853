// SPDX-License-Identifier: Apache-2.0
// One answer with the log of a container: what is in the newest file, then, where it follows, what
// comes, through rotations, until the container's end.
#pragma once
#include <functional>
#include <memory>

#include "agent/cri_log.h"
#include "agent/log_files.h"
#include "net/http.h"
#include "world/world.h"

namespace pelton::agent {

class LogStream {
 public:
  /// `ended` is called once, later; within it this may be destroyed.
  LogStream(world::World world, ContainerPaths paths, bool is_following, LogOptions options,
            net::ResponseSinkPtr sink, std::function<void()> ended);
  void start();

 private:
  void pump();
  bool open();
  void watch_log();
  void end();

  world::World world_;
  ContainerPaths paths_;
  bool is_following_;
  std::optional<int64_t> tail_lines_;
  CriLogReader reader_;
  net::ResponseSinkPtr sink_;
  std::function<void()> ended_;
  world::Timer timer_;
  LogFollower log_;
  std::unique_ptr<world::FileWatch> directory_watch_, log_watch_;
  bool is_over_ = false;
};

}  // namespace pelton::agent
