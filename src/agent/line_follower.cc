// SPDX-License-Identifier: Apache-2.0
#include "agent/line_follower.h"

#include <csignal>
#include <utility>

namespace pelton::agent {
namespace {

/// Before a command that ended is begun again. Rarely: where it may not be run, that does not
/// change.
constexpr base::Duration kAgain = base::Duration::seconds(60);
constexpr size_t kMaxLine = 8192;

}  // namespace

LineFollower::LineFollower(world::World world, std::string what, std::vector<std::string> command,
                           std::function<void(std::string_view line)> on_line)
    : world_(world),
      what_(std::move(what)),
      command_(std::move(command)),
      on_line_(std::move(on_line)),
      again_(world.timers) {}

LineFollower::~LineFollower() {
  if (process_) process_->signal(SIGTERM).ignore("it may have ended");
}

void LineFollower::start() {
  unread_.clear();
  world::ProcessSpec spec{.argv = command_, .inherit_env = true, .die_with_parent = true};
  spec.on_output = [this](std::string_view bytes) { on_output(bytes); };
  auto process = world_.processes.spawn(std::move(spec), [this](world::ExitState) {
    process_.reset();
    again_.start(kAgain, [this] { start(); });
  });
  if (process.ok()) {
    process_ = std::move(process).value();
    return;
  }
  world_.log.warning(what_, {{"not_followed", process.status().message()}});
}

void LineFollower::on_output(std::string_view bytes) {
  unread_ += bytes;
  size_t begin = 0;
  for (size_t end = 0; (end = unread_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    on_line_(std::string_view(unread_).substr(begin, end - begin));
  }
  unread_.erase(0, begin);
  if (unread_.size() > kMaxLine) unread_.clear();
}

}  // namespace pelton::agent
