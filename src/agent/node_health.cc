// SPDX-License-Identifier: Apache-2.0
#include "agent/node_health.h"

#include <csignal>
#include <utility>

namespace pelton::agent {
namespace {

using base::Json;
using decide::health::Severity;

/// A fault that comes a thousand times a second is one Event per so long.
constexpr base::Duration kQuiet = base::Duration::seconds(30);
/// Before the log is followed again after its reader ended.
constexpr base::Duration kAgain = base::Duration::seconds(60);
constexpr size_t kMaxLine = 8192;

}  // namespace

std::vector<std::string> kernel_log_command() {
  return {"dmesg", "--follow-new", "--notime"};
}

NodeHealth::NodeHealth(world::World world, EventRecorder& events, std::string node_name,
                       std::vector<std::string> command, std::function<void()> changed)
    : world_(world),
      events_(events),
      node_name_(std::move(node_name)),
      command_(std::move(command)),
      changed_(std::move(changed)),
      again_(world.timers) {}

NodeHealth::~NodeHealth() {
  if (process_) process_->signal(SIGTERM).ignore("it may have ended");
}

void NodeHealth::start() {
  unread_.clear();
  world::ProcessSpec spec{.argv = command_, .inherit_env = true, .die_with_parent = true};
  spec.on_output = [this](std::string_view bytes) { on_output(bytes); };
  auto process = world_.processes.spawn(std::move(spec), [this](world::ExitState) { on_end(); });
  if (process.ok()) {
    process_ = std::move(process).value();
    return;
  }
  world_.log.warning("node.kernel_log", {{"not_followed", process.status().message()}});
}

/// Once more, but rarely: where the log may not be read, that does not change.
void NodeHealth::on_end() {
  process_.reset();
  again_.start(kAgain, [this] { start(); });
}

void NodeHealth::on_output(std::string_view bytes) {
  unread_ += bytes;
  size_t begin = 0;
  for (size_t end = 0; (end = unread_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    on_line(std::string_view(unread_).substr(begin, end - begin));
  }
  unread_.erase(0, begin);
  if (unread_.size() > kMaxLine) unread_.clear();
}

void NodeHealth::on_line(std::string_view line) {
  const base::Instant now = world_.clock.now();
  const auto found = decide::health::read_kernel_line(line, node_name_, now, now);
  if (!found || found->severity == Severity::Note) return;
  const base::Duration elapsed = world_.clock.elapsed();
  const std::string key = found->cause + "\n" + found->device;
  const auto told = told_.find(key);
  if (told != told_.end() && elapsed - told->second < kQuiet) return;
  told_[key] = elapsed;
  world_.log.warning("node.finding", {{"cause", found->cause},
                                      {"device", found->device},
                                      {"severity", severity_name(found->severity)},
                                      {"detail", found->detail}});
  // Events of what has no namespace stand in "default"; a Node's uid is its name there, as a
  // kubelet writes it.
  const Json node =
      Json::object({{"apiVersion", "v1"},
                    {"kind", "Node"},
                    {"metadata", Json::object({{"name", node_name_}, {"uid", node_name_}})}});
  events_.record(node, true, found->cause, found->detail);
  if (found->severity != Severity::Fatal) return;
  condition_ = api::Condition{kDeviceFault, "True", found->cause, found->detail};
  changed_();
}

}  // namespace pelton::agent
