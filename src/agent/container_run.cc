// SPDX-License-Identifier: Apache-2.0
#include "agent/container_run.h"

namespace pelton::agent {
namespace {

constexpr int kSignalTerminate = 15;
constexpr int kSignalKill = 9;
constexpr base::Duration kLookAgain = base::Duration::seconds(1);
constexpr int kExitOfLost = 137;  // what a kubelet reports for a container it lost sight of

}  // namespace

ContainerRun::ContainerRun(world::World world, std::string directory, std::function<void()> changed)
    : world_(world),
      paths_(std::move(directory)),
      changed_(std::move(changed)),
      look_again_(world.timers) {}

base::Status ContainerRun::start(const ShimOrder& order, const std::string& executable) {
  PELTON_TRY(write_order(world_.files, paths_, order));
  watch();
  world::ProcessSpec spec{.argv = {executable, "container-shim", paths_.directory},
                          .inherit_env = true,
                          .working_directory = "/",
                          .stdout_path = paths_.directory + "/shim.log",
                          .stderr_path = paths_.directory + "/shim.log",
                          .new_session = true};
  auto shim = world_.processes.spawn(std::move(spec), [this](world::ExitState) {
    shim_.reset();
    refresh_or_give_up();
  });
  if (!shim.ok()) return shim.status();
  shim_ = std::move(shim).value();
  return base::ok();
}

void ContainerRun::adopt() {
  watch();
  refresh_or_give_up();
}

void ContainerRun::refresh_or_give_up() {
  refresh();
  if (state_ != State::Exited) give_up();
}

void ContainerRun::watch() {
  auto watch = world_.files.watch(paths_.directory, [this] { refresh(); });
  if (watch.ok()) {
    watch_ = std::move(watch).value();
  } else {
    world_.log.error("container.watch",
                     {{"directory", paths_.directory}, {"error", watch.status().to_string()}});
  }
}

void ContainerRun::refresh() {
  if (state_ == State::Exited) return;
  const State before = state_;
  if (!running_) running_ = read_running(world_.files, paths_);
  exit_ = read_exit(world_.files, paths_);
  if (exit_) {
    state_ = State::Exited;
    shim_.reset();
  } else if (running_) {
    state_ = State::Running;
    if (!shim_) {  // not our child: another agent's, found again
      auto shim = world_.processes.attach(running_->shim_pid, running_->shim_start_ticks,
                                          [this](world::ExitState) {
                                            shim_.reset();
                                            refresh_or_give_up();
                                          });
      if (shim.ok()) shim_ = std::move(shim).value();
    }
  }
  if (state_ != before) changed_();
}

void ContainerRun::give_up() {
  if (is_giving_up_) return;
  auto lock = world_.files.lock(paths_.lock(), "an agent");
  if (!lock.ok()) {
    // Its shim lives, and will say so in the directory; until its pid stands there, its death would
    // not be seen.
    if (!shim_) look_again_.start(kLookAgain, [this] { refresh_or_give_up(); });
    return;
  }
  refresh();
  if (state_ == State::Exited) return;
  is_giving_up_ = true;
  const base::Instant now = world_.clock.now();
  const ExitRecord record{.code = kExitOfLost,
                          .reason = "ContainerStatusUnknown",
                          .message =
                              "The container could not be located: its supervisor was "
                              "killed, or the machine was restarted",
                          .started_at = running_ ? running_->started_at : now,
                          .finished_at = now};
  const std::shared_ptr<world::FileLock> held = std::move(lock).value();
  write_exit(world_.files, paths_, record,
             [this, held, alive = std::weak_ptr(alive_)](base::Status status) {
               if (alive.expired()) return;
               is_giving_up_ = false;
               if (!status.ok()) {
                 world_.log.error("container.give_up",
                                  {{"directory", paths_.directory}, {"error", status.to_string()}});
               }
               refresh();
             });
}

base::Status ContainerRun::signal(int pid, uint64_t start_ticks, int number) {
  auto process = world_.processes.attach(pid, start_ticks, [](world::ExitState) {});
  base::Status status = process.ok() ? (*process)->signal(number) : process.status();
  // It ended by itself, and exit.json is on its way.
  return status.code() == base::Code::NotFound ? base::ok() : status;
}

base::Status ContainerRun::terminate() {
  if (state_ == State::Exited) return base::ok();
  if (!running_) return {base::Code::FailedPrecondition, "the container is only starting"};
  return signal(running_->main_pid, running_->main_start_ticks, kSignalTerminate);
}

base::Status ContainerRun::kill() {
  if (state_ == State::Exited) return base::ok();
  if (running_) return signal(running_->init_pid, running_->init_start_ticks, kSignalKill);
  // The sandbox dies with its shim.
  return shim_ ? shim_->signal(kSignalKill)
               : base::Status(base::Code::FailedPrecondition, "the container is only starting");
}

}  // namespace pelton::agent
