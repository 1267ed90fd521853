// SPDX-License-Identifier: Apache-2.0
// Sends a part to a peer (the stream is described in incoming_part.h), with bounded memory.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "world/world.h"

namespace pelton::agent {

class OutgoingPart {
 public:
  /// `manifest` and `data` are the files' paths. `done` comes once, when the peer has gone, and may
  /// destroy it. `world` must outlive it.
  static base::Result<std::unique_ptr<OutgoingPart>> make(world::World world,
                                                          const std::string& manifest,
                                                          const std::string& data);
  void start(std::unique_ptr<world::Connection> connection, std::function<void()> done);

 private:
  explicit OutgoingPart(world::World world) : stalled_(world.timers), next_(world.timers) {}
  void pump();
  void end();

  std::string head_;  ///< line and manifest
  std::unique_ptr<world::File> data_;
  uint64_t size_ = 0, sent_ = 0;
  std::string buffer_;
  std::unique_ptr<world::Connection> connection_;
  std::function<void()> done_;
  world::Timer stalled_, next_;
};

}  // namespace pelton::agent
