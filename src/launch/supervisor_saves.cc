// SPDX-License-Identifier: Apache-2.0
// How workers hear that a node, or their own pod, is to go, and what they answer.
#include <algorithm>
#include <utility>

#include "launch/supervisor.h"

namespace pelton::launch {

using decide::recovery::Generation;

/// As the generation says.
void Supervisor::ask_to_save() {
  const auto& generation = follower_.generation();
  if (!generation || !generation->save_by || generation->phase != Generation::Phase::Running) {
    has_said_notice_ = false;
    return;
  }
  const auto& [at, cause, node, after, is_known] = *generation->save_by;
  if (!std::exchange(has_said_notice_, true)) {
    world_.log.warning("launch.notice", {{"node", node},
                                         {"cause", cause},
                                         {"at", base::format_micro_time(at)},
                                         {"next", "the workers are asked to save before"}});
  }
  pages_.ask_to_save(generation->number, at, is_known);
}

/// Two thirds of the grace period are for the save; who has not saved by then will not.
void Supervisor::save_before_end() {
  const base::Duration grace = settings_.plan.grace;
  const int64_t generation = follower_.generation()->number;
  ends_at_ = world_.clock.elapsed() + grace;
  saved_before_ = pages_.save_answer(generation).saved_step;
  pages_.ask_to_save(generation, world_.clock.now() + grace, true);
  save_.start(grace * 2 / 3, [this] {
    world_.log.warning("launch.not_saved",
                       {{"message", "two thirds of --grace-seconds are over: the workers end"}});
    act(follower_.on_saved(world_.clock.now()));
    report();
  });
}

void Supervisor::look_for_saves() {
  const auto& generation = follower_.generation();
  if (!generation || !settings_.agent_socket.empty()) return;
  const SaveAnswer answer = pages_.save_answer(generation->number);
  // Of ranks elsewhere nobody would know whether they have heard of it.
  follower_.offer_save(answer.is_looking && settings_.plan.nnodes == 1);
  if (!ends_at_ || answer.saved_step <= saved_before_) return;
  save_.cancel();
  act(follower_.on_saved(world_.clock.now()));
}

base::Duration Supervisor::grace_left() const {
  if (!ends_at_) return settings_.plan.grace;
  return std::max(*ends_at_ - world_.clock.elapsed(), base::Duration());
}

}  // namespace pelton::launch
