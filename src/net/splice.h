// SPDX-License-Identifier: Apache-2.0
// Two connections made one: what comes from either goes to the other, no faster than it is taken.
#pragma once
#include <functional>
#include <memory>
#include <string_view>

#include "world/network.h"
#include "world/timers.h"

namespace pelton::net {

class Splice {
 public:
  /// Starts both. `ended` is called once, from the loop, when both sides have ended or one broke,
  /// and the other has taken what came before that, or has not within `patience` when nothing more
  /// comes. It may destroy the splice, not within the call.
  Splice(world::Timers& timers, std::unique_ptr<world::Connection> a,
         std::unique_ptr<world::Connection> b, std::function<void()> ended,
         base::Duration patience = base::Duration::seconds(30));
  /// Cuts both; `ended` is not called.
  ~Splice();
  Splice(const Splice&) = delete;
  Splice& operator=(const Splice&) = delete;

 private:
  struct Side {
    std::unique_ptr<world::Connection> connection;
    bool has_ended = false;
    bool is_paused = false;
  };
  void start(Side& from, Side& to);
  void on_data(Side& from, Side& to, std::string_view bytes);
  void on_end(Side& from, Side& to, const base::Status& status);
  void on_drained(Side& from);
  void end_when_taken(const Side& last);
  void end();

  Side a_, b_;
  base::Duration patience_;
  world::Timer linger_;
  bool is_ending_ = false;
  std::function<void()> ended_;
};

}  // namespace pelton::net
