// SPDX-License-Identifier: Apache-2.0
// The user's health check: whether this node is fit to train on.
#include <algorithm>

#include "base/strings.h"
#include "launch/supervisor.h"

namespace pelton::launch {
namespace {

using base::Json;

constexpr int kSigKill = 9;
constexpr std::string_view kPrefix = "check/";
/// Of its output; the last line of it is told.
constexpr uint64_t kOutputRead = 16 << 10;
constexpr size_t kLongestLine = 300;

}  // namespace

bool Supervisor::is_check(const std::string& key) {
  return key.starts_with(kPrefix);
}

void Supervisor::run_check(int64_t generation) {
  if (!check_key_.empty()) {  // of a generation that is over
    send(Json::object({{"op", "signal"}, {"key", check_key_}, {"number", kSigKill}}));
  }
  check_key_ = std::string(kPrefix) + std::to_string(generation);
  if (const auto ended = checks_.find(check_key_); ended != checks_.end()) {
    world_.timers.post([this, key = check_key_, how = ended->second] { on_check_exit(key, how); });
    return;
  }
  SpawnOrder order;
  order.key = check_key_;
  order.argv = {"/bin/sh", "-c", settings_.plan.health_check};
  order.env = {{"PELTON_GENERATION", std::to_string(generation)}};
  order.stdout_path = order.stderr_path = settings_.directory + "/check.log";
  world_.files.remove(order.stdout_path).ignore("mostly there is none");
  send(to_json(order));
  check_.start(settings_.plan.health_check_timeout, [this, key = check_key_] {
    send(Json::object({{"op", "signal"}, {"key", key}, {"number", kSigKill}}));
    on_checked(key, base::unavailable(
                        "it took longer than --health-check-timeout, " +
                        std::to_string(settings_.plan.health_check_timeout.ms() / 1000) + " s"));
  });
}

void Supervisor::on_check_exit(const std::string& key, const world::ExitState& how) {
  send(Json::object({{"op", "forget"}, {"key", key}}));
  if (how.shell_code() == 0) return on_checked(key, base::ok());
  on_checked(key, base::unavailable("exit code " + std::to_string(how.shell_code())));
}

void Supervisor::on_checked(const std::string& key, const base::Status& how) {
  if (key != check_key_) return;
  check_key_.clear();
  check_.cancel();
  base::Status said = how;
  if (!how.ok()) {
    const std::string output = check_output();
    said = base::unavailable("health check `" + settings_.plan.health_check +
                             "`: " + how.message() + (output.empty() ? "" : ": " + output));
    world_.log.error("launch.health_check", {{"message", said.message()}});
  }
  const auto generation = base::parse_int(std::string_view(key).substr(kPrefix.size()));
  act(follower_.on_checked(generation.ok() ? *generation : -1, said, world_.clock.now()));
  report();
}

/// The last line that says anything.
std::string Supervisor::check_output() const {
  const auto file = world_.files.open(settings_.directory + "/check.log", world::OpenMode::Read);
  if (!file.ok()) return "";
  const auto size = file.value()->size();
  if (!size.ok()) return "";
  const uint64_t from = *size > kOutputRead ? *size - kOutputRead : 0;
  const auto text = file.value()->read_at(from, kOutputRead);
  if (!text.ok()) return "";
  const auto lines = base::split(*text, '\n');
  const auto last = std::find_if(lines.rbegin(), lines.rend(), [](std::string_view line) {
    return line.find_first_not_of(" \t\r") != std::string_view::npos;
  });
  return last == lines.rend() ? "" : std::string(last->substr(0, kLongestLine));
}

}  // namespace pelton::launch
