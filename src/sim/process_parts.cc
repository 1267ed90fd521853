// SPDX-License-Identifier: Apache-2.0
#include "sim/process_parts.h"

#include "base/strings.h"

namespace pelton::sim {

void SimExecutor::run(std::function<void()> work, std::function<void()> done) {
  if (!owner_.is_alive()) return;
  work();
  sim_.schedule(&owner_, base::Duration::microseconds(rng_.between(5, 500)), std::move(done));
}

std::string SimRandom::bytes(size_t size) {
  std::string out;
  while (out.size() < size) {
    for (uint64_t word = rng_.next(), i = 0; i < 8 && out.size() < size; ++i, word >>= 8) {
      out.push_back(static_cast<char>(word & 0xff));
    }
  }
  return out;
}

void SimLog::write(base::Severity, std::string_view event, const base::Json& fields) {
  if (!owner_.is_alive()) return;
  ++counts_[std::string(event)];
  sim_.add_log_line(owner_, event, fields);
}

size_t SimLog::count(std::string_view event) const {
  auto found = counts_.find(event);
  return found == counts_.end() ? 0 : found->second;
}

struct SimProcesses::Child {
  int pid = 0;
  uint64_t start = 0;
  uint64_t timer = 0;
  world::ProcessSpec spec;
  std::string output;
  bool is_running = true;
  std::function<void(world::ExitState)> on_exit;   ///< of the parent's handle
  std::function<void(world::ExitState)> attached;  ///< of one that attached
};

class SimChildHandle final : public world::Process {
 public:
  SimChildHandle(SimProcesses& all, std::shared_ptr<SimProcesses::Child> child, bool is_parent)
      : all_(all), child_(std::move(child)), is_parent_(is_parent) {}
  ~SimChildHandle() override { (is_parent_ ? child_->on_exit : child_->attached) = nullptr; }
  int pid() const override { return child_->pid; }
  base::Status signal(int number) override {
    if (!child_->is_running) return base::not_found("the process has ended");
    all_.finish(child_, {.code = {}, .signal = number});
    return base::ok();
  }
  base::Status signal_group(int number) override { return signal(number); }

 private:
  SimProcesses& all_;
  std::shared_ptr<SimProcesses::Child> child_;
  bool is_parent_;
};

SimProcesses::SimProcesses(SimWorld& sim, SimProcess& owner, Find find)
    : sim_(sim), owner_(owner), find_(std::move(find)) {}

SimProcesses::~SimProcesses() = default;

base::Result<std::unique_ptr<world::Process>> SimProcesses::spawn(
    world::ProcessSpec spec, std::function<void(world::ExitState)> on_exit) {
  if (spec.argv.empty()) return base::invalid_argument("a process needs argv[0]");
  const ScriptedProgram script = find_(spec);
  auto child = std::make_shared<Child>();
  child->pid = next_pid_++;
  child->start = static_cast<uint64_t>(sim_.elapsed().ms() / 10) + 1;
  child->output = script.output;
  child->on_exit = std::move(on_exit);
  sim_.trace("spawn", spec.argv[0]);
  child->spec = std::move(spec);
  children_[child->pid] = child;
  child->timer =
      sim_.schedule(&owner_, script.duration, [this, child, exit = script.exit]() mutable {
        if (!exit.code && !exit.signal) exit.code = 0;
        finish(child, exit);
      });
  return std::unique_ptr<world::Process>(new SimChildHandle(*this, child, true));
}

void SimProcesses::finish(const std::shared_ptr<Child>& child, world::ExitState state) {
  if (!std::exchange(child->is_running, false)) return;
  sim_.cancel(child->timer);
  children_.erase(child->pid);
  sim_.trace("exit", std::to_string(child->pid) + ":" + std::to_string(state.shell_code()));
  // Told from the loop, since a signal is sent from within a call.
  sim_.schedule(&owner_, {}, [child, state] {
    if (child->spec.on_output) {
      if (!child->output.empty()) child->spec.on_output(child->output);
      child->spec.on_output({});
    }
    if (child->attached) child->attached({});
    if (child->on_exit) child->on_exit(state);
  });
}

base::Result<uint64_t> SimProcesses::start_ticks(int pid) {
  auto found = children_.find(pid);
  if (found == children_.end()) return base::not_found("no process " + std::to_string(pid));
  return found->second->start;
}

base::Result<world::ProcessActivity> SimProcesses::activity(int pid, bool) {
  PELTON_TRY(start_ticks(pid).status());
  world::ProcessActivity activity;
  activity.state = 'S';
  return activity;
}

base::Result<std::unique_ptr<world::Process>> SimProcesses::attach(
    int pid, uint64_t start_ticks, std::function<void(world::ExitState)> on_exit) {
  auto found = children_.find(pid);
  if (found == children_.end() || found->second->start != start_ticks) {
    return base::not_found("no process " + std::to_string(pid) + " of that start");
  }
  found->second->attached = std::move(on_exit);
  return std::unique_ptr<world::Process>(new SimChildHandle(*this, found->second, false));
}

base::Result<std::unique_ptr<world::Process>> SimProcesses::adopt(
    int pid, std::function<void(world::ExitState)>) {
  return base::not_found("no process " + std::to_string(pid) + " without a parent");
}

}  // namespace pelton::sim
