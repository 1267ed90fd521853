// SPDX-License-Identifier: Apache-2.0
#include "cli/part.h"

#include <fmt/format.h>

#include <csignal>
#include <set>

#include "base/strings.h"
#include "cli/blocking.h"
#include "os/self.h"

namespace pelton::cli {
namespace {

/// The last lines of a part's log: what it had to say when it ended.
std::string log_tail(world::Files& files, const std::string& path) {
  auto text = files.read(path);
  if (!text.ok()) return "";
  std::string_view tail = *text;
  constexpr size_t kBytes = 1500;
  if (tail.size() > kBytes) {
    tail.remove_prefix(tail.size() - kBytes);
    tail.remove_prefix(std::min(tail.find('\n') + 1, tail.size()));
  }
  return std::string(base::trim(tail));
}

}  // namespace

class PartStart::Impl {
 public:
  Impl(world::World& world, const DataDirectory& directory)
      : world_(world), directory_(directory), timeout_(world_.timers) {}

  void run(const std::vector<Part>& parts, base::Duration timeout,
           std::function<void(base::Status)> done) {
    done_ = std::move(done);
    auto watch = world_.files.watch(directory_.run(), [this] { look(); });
    if (!watch.ok()) return finish(watch.status());
    watch_ = std::move(watch).value();
    timeout_.start(timeout, [this] {
      finish(base::unavailable(fmt::format("{} did not serve in time; see {}", *waiting_.begin(),
                                           directory_.log(*waiting_.begin()))));
    });
    for (const Part& part : parts) {
      if (base::Status status = spawn(part); !status.ok()) return finish(std::move(status));
    }
    look();
  }

 private:
  base::Status spawn(const Part& part) {
    world::ProcessSpec spec;
    spec.argv = {os::executable_path()};
    spec.argv.insert(spec.argv.end(), part.arguments.begin(), part.arguments.end());
    spec.inherit_env = true;
    spec.working_directory = "/";
    spec.stdout_path = spec.stderr_path = directory_.log(part.name);
    spec.new_session = true;
    const auto on_exit = [this, name = part.name](world::ExitState state) {
      if (!waiting_.contains(name)) return;
      const std::string log = directory_.log(name);
      finish(base::unavailable(
          fmt::format("{} ended with code {} before it served. Its log {}:\n{}", name,
                      state.shell_code(), log, log_tail(world_.files, log))));
    };
    auto process = find_started(part.name, on_exit);
    if (!process.ok()) {
      process = world_.processes.spawn(std::move(spec), on_exit);
      if (!process.ok()) return std::move(process).status().with("starting " + part.name);
      write_starting_record(world_.files, world_.processes, directory_, part.name,
                            (*process)->pid())
          .ignore("it has ended, which on_exit tells");
    }
    waiting_.insert(part.name);
    processes_.push_back(std::move(process).value());
    return base::ok();
  }

  /// What an interrupted `up` has started is on its way, or serves by now: a second one beside it
  /// would be one too many. NotFound where there is none.
  base::Result<std::unique_ptr<world::Process>> find_started(
      const std::string& name, const std::function<void(world::ExitState)>& on_exit) {
    // In this order: who comes to serve meanwhile is in one of the two at any time.
    for (const auto& records : {starting(world_.files, world_.processes, directory_),
                                running(world_.files, world_.processes, directory_)}) {
      for (const RunRecord& record : records) {
        if (record.name != name) continue;
        return world_.processes.attach(record.pid, record.start_ticks, on_exit);
      }
    }
    return base::not_found(name + " has not been started");
  }

  /// A record appeared or changed: whoever runs by it serves.
  void look() {
    if (!done_) return;
    for (const RunRecord& record : running(world_.files, world_.processes, directory_)) {
      waiting_.erase(record.name);
    }
    if (waiting_.empty()) finish(base::ok());
  }

  void finish(base::Status status) {
    if (!done_) return;
    timeout_.cancel();
    std::exchange(done_, nullptr)(std::move(status));
  }

  world::World& world_;
  const DataDirectory directory_;
  world::Timer timeout_;
  std::unique_ptr<world::FileWatch> watch_;
  std::vector<std::unique_ptr<world::Process>> processes_;
  std::set<std::string> waiting_;
  std::function<void(base::Status)> done_;
};

PartStart::PartStart(world::World& world, const DataDirectory& directory)
    : impl_(std::make_unique<Impl>(world, directory)) {}
PartStart::~PartStart() = default;

void PartStart::run(const std::vector<Part>& parts, base::Duration timeout,
                    std::function<void(base::Status)> done) {
  impl_->run(parts, timeout, std::move(done));
}

base::Status start_parts(os::OsWorld& os, const DataDirectory& directory,
                         const std::vector<Part>& parts, base::Duration timeout) {
  if (parts.empty()) return base::ok();
  PartStart start(os.world(), directory);
  return await<base::Status>(os, [&](auto done) { start.run(parts, timeout, std::move(done)); });
}

void end_part(os::OsWorld& os, const RunRecord& record, base::Duration grace) {
  world::World& world = os.world();
  await<bool>(os, [&](std::function<void(bool)> done) {
    auto timer = std::make_shared<world::Timer>(world.timers);
    auto handle = std::make_shared<std::unique_ptr<world::Process>>();
    auto attached = world.processes.attach(record.pid, record.start_ticks,
                                           [done, timer, handle](world::ExitState) {
                                             timer->cancel();
                                             handle->reset();
                                             done(true);
                                           });
    if (!attached.ok()) return done(false);
    *handle = std::move(attached).value();
    (*handle)->signal(SIGTERM).ignore("it may have just ended");
    timer->start(grace, [handle] {
      if (*handle) (*handle)->signal(SIGKILL).ignore("it may have just ended");
    });
  });
}

base::Status announce_part(os::OsWorld& os, const DataDirectory& directory,
                           const std::string& name) {
  world::World& world = os.world();
  return write_run_record(world.files, world.processes, directory, name, os::process_id());
}

void withdraw_part(os::OsWorld& os, const DataDirectory& directory, const std::string& name) {
  remove_records(os.world().files, directory, name);
}

}  // namespace pelton::cli
