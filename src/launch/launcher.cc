// SPDX-License-Identifier: Apache-2.0
#include "launch/launcher.h"

#include <utility>

namespace pelton::launch {
namespace {

/// A port that nobody listens on now.
base::Result<int> free_port(world::Network& network) {
  PELTON_ASSIGN(auto listener, network.listen({"127.0.0.1", 0}, [](auto) {}));
  return static_cast<int>(listener->address().port);
}

std::string directory_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

}  // namespace

Launcher::Launcher(world::World& world, GroupPlan plan)
    : world_(world),
      plan_(std::move(plan)),
      group_(plan_.local_world_size, plan_.max_restarts),
      grace_(world.timers) {}

void Launcher::start(std::function<void(int)> on_done) {
  on_done_ = std::move(on_done);
  for (const std::string& warning : plan_.warnings) {
    world_.log.warning("launch.plan", {{"message", warning}});
  }
  if (plan_.master_port == 0) {
    base::Result<int> port = free_port(world_.network);
    if (!port.ok()) {
      world_.log.error("launch.no_port", {{"message", port.error().message()}});
      return finish(1);
    }
    plan_.master_port = *port;
  }
  act(group_.begin());
}

void Launcher::on_signal(int number) {
  if (!finished_) act(group_.on_signal(number));
}

void Launcher::act(const std::vector<Action>& actions) {
  for (const Action& action : actions) {
    switch (action.kind) {
      case Action::Kind::Start:
        start_workers(action.number);
        break;
      case Action::Kind::Signal:
        for (const auto& worker : workers_) {
          if (worker) worker->signal_group(action.number).ignore("it may have ended");
        }
        break;
      case Action::Kind::Alarm:
        grace_.start(plan_.grace, [this] { act(group_.on_grace_over()); });
        break;
      case Action::Kind::Finish:
        finish(action.number);
        break;
    }
  }
}

void Launcher::start_workers(int attempt) {
  grace_.cancel();
  workers_.clear();
  workers_.resize(static_cast<size_t>(plan_.local_world_size));
  for (int local_rank = 0; local_rank < plan_.local_world_size; ++local_rank) {
    const base::Status started = start_worker(local_rank, attempt);
    if (started.ok()) continue;
    // What one worker lacks, all lack: there is nothing to retry.
    world_.log.error("launch.no_worker", {{"rank", local_rank}, {"message", started.message()}});
    for (const auto& worker : workers_) {
      if (worker) worker->signal_group(9).ignore("it may have ended");
    }
    return finish(started.code() == base::Code::NotFound ? 127 : 126);
  }
}

base::Status Launcher::start_worker(int local_rank, int attempt) {
  world::ProcessSpec spec;
  spec.argv = plan_.command;
  spec.env = worker_environment(plan_, local_rank, attempt);
  spec.inherit_env = true;
  spec.new_session = true;
  spec.die_with_parent = true;
  spec.stdout_path = worker_log_path(plan_, local_rank, attempt, "stdout");
  spec.stderr_path = worker_log_path(plan_, local_rank, attempt, "stderr");
  for (const std::string& path : {spec.stdout_path, spec.stderr_path}) {
    if (!path.empty()) PELTON_TRY(world_.files.make_directories(directory_of(path)));
  }
  PELTON_ASSIGN(workers_[static_cast<size_t>(local_rank)],
                world_.processes.spawn(std::move(spec), [this, local_rank](world::ExitState how) {
                  on_worker_exit(local_rank, how);
                }));
  return base::ok();
}

void Launcher::on_worker_exit(int local_rank, world::ExitState how) {
  if (!finished_) act(group_.on_exit(local_rank, how));
}

void Launcher::finish(int exit_code) {
  if (finished_) return;
  finished_ = true;
  // Later, also where the start failed: who called start() has not begun to wait for it yet.
  grace_.start(base::Duration(), [this, exit_code] { on_done_(exit_code); });
}

}  // namespace pelton::launch
