// SPDX-License-Identifier: Apache-2.0
#include "agent/container_shim.h"

#include "agent/cgroups.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

constexpr base::Duration kFindInterval = base::Duration::milliseconds(3);
/// After the sandbox's end its output must end too; whoever holds the pipe open beyond is ignored.
constexpr base::Duration kOutputGrace = base::Duration::seconds(2);

}  // namespace

std::vector<int> children_of(world::Files& files, int pid) {
  const std::string id = std::to_string(pid);
  std::vector<int> children;
  const auto text = files.read("/proc/" + id + "/task/" + id + "/children");
  if (!text.ok()) return children;
  for (const std::string_view word : base::split(base::trim(*text), ' ')) {
    const auto child = base::parse_int(word);
    if (child.ok()) children.push_back(static_cast<int>(*child));
  }
  return children;
}

ContainerShim::ContainerShim(world::World world, std::string directory, int own_pid,
                             std::function<void(int)> finished)
    : world_(world),
      paths_(std::move(directory)),
      own_pid_(own_pid),
      finished_(std::move(finished)),
      timer_(world.timers) {}

void ContainerShim::start() {
  auto lock = world_.files.lock(paths_.lock(), "pid " + std::to_string(own_pid_));
  if (!lock.ok()) return fail(lock.status());
  lock_ = std::move(lock).value();
  if (read_exit(world_.files, paths_)) return finished_(0);
  auto order = read_order(world_.files, paths_);
  if (!order.ok()) return fail(order.status());
  log_ = std::make_unique<LogAppender>(world_.files, paths_, order->log_limits);
  if (const base::Status status = log_->open(); !status.ok()) return fail(status);
  cgroups_ = order->cgroups;
  world::ProcessSpec spec{
      .argv = std::move(order->argv),
      .env = std::move(order->env),
      .working_directory = "/",
      .on_output = [this](std::string_view piece) { on_output(stdout_, piece); },
      .on_error_output = [this](std::string_view piece) { on_output(stderr_, piece); }};
  started_at_ = world_.clock.now();
  auto process =
      world_.processes.spawn(std::move(spec), [this](world::ExitState state) { on_exit(state); });
  if (!process.ok()) return fail(process.status());
  process_ = std::move(process).value();
  find_processes();
}

/// Our child is bubblewrap, its child is the first process of the PID namespace, whose first child
/// becomes the command. All are there within milliseconds; there is no event to wait for.
void ContainerShim::find_processes() {
  if (exit_) return;
  RunningRecord record{.shim_pid = own_pid_, .started_at = started_at_};
  const auto inits = children_of(world_.files, process_->pid());
  if (!inits.empty()) record.init_pid = inits.front();
  const auto mains = inits.empty() ? inits : children_of(world_.files, record.init_pid);
  if (!mains.empty()) record.main_pid = mains.front();
  const auto shim_ticks = world_.processes.start_ticks(own_pid_);
  const auto init_ticks = world_.processes.start_ticks(record.init_pid);
  const auto main_ticks = world_.processes.start_ticks(record.main_pid);
  if (mains.empty() || !shim_ticks.ok() || !init_ticks.ok() || !main_ticks.ok()) {
    return timer_.start(kFindInterval, [this] { find_processes(); });
  }
  record.shim_start_ticks = *shim_ticks;
  record.init_start_ticks = *init_ticks;
  record.main_start_ticks = *main_ticks;
  const base::Status status = write_running(world_.files, paths_, record);
  if (!status.ok()) world_.log.error("shim.record", {{"error", status.to_string()}});
}

void ContainerShim::on_output(CriLogWriter& writer, std::string_view piece) {
  const base::Instant now = world_.clock.now();
  const std::string records = piece.empty() ? writer.finish(now) : writer.write(piece, now);
  if (!records.empty()) {
    const base::Status status = log_->append(records);
    // E.g. a full disk.
    if (!status.ok()) world_.log.error("shim.log", {{"error", status.to_string()}});
  }
  if (piece.empty()) {
    --open_outputs_;
    maybe_finish();
  }
}

void ContainerShim::on_exit(world::ExitState state) {
  exit_ = state;
  timer_.start(kOutputGrace, [this] {
    open_outputs_ = 0;
    maybe_finish();
  });
  maybe_finish();
}

void ContainerShim::maybe_finish() {
  if (!exit_ || open_outputs_ > 0 || is_finishing_) return;
  is_finishing_ = true;
  timer_.cancel();
  ExitRecord record{
      .code = exit_->shell_code(), .started_at = started_at_, .finished_at = world_.clock.now()};
  record.reason = record.code == 0                       ? "Completed"
                  : has_oom_kill(world_.files, cgroups_) ? "OOMKilled"
                                                         : "Error";
  write_exit(world_.files, paths_, record, [this](base::Status status) {
    if (!status.ok()) return fail(status);
    finished_(0);
  });
}

void ContainerShim::fail(const base::Status& status) {
  world_.log.error("shim.failed", {{"directory", paths_.directory}, {"error", status.to_string()}});
  finished_(1);
}

}  // namespace pelton::agent
