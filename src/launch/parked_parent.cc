// SPDX-License-Identifier: Apache-2.0
#include "launch/parked_parent.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace pelton::launch {
namespace {

using base::Json;

constexpr const char* kMarkerVariable = "PELTON_PARKED";
constexpr base::Duration kConnectTimeout = base::Duration::seconds(5);
/// One that ended so often is not tried again.
constexpr int kMostStarts = 3;

}  // namespace

ParkedParent::ParkedParent(world::World& world, Settings settings, std::function<void()> on_change)
    : world_(world), settings_(std::move(settings)), on_change_(std::move(on_change)) {}

std::string ParkedParent::socket() const {
  return settings_.directory + "/" + "park-" + key_.substr(key_.find('/') + 1) + ".sock";
}

std::optional<SpawnOrder> ParkedParent::start() {
  if (!settings_.command || is_started() || starts_ >= kMostStarts) return std::nullopt;
  ++starts_;
  key_ = "park/" + std::to_string(starts_);
  SpawnOrder order;
  order.key = key_;
  order.argv = park_command(*settings_.command, socket(), settings_.spares);
  order.env = settings_.env;
  order.env[kMarkerVariable] = settings_.marker;
  wait_for_socket();
  return order;
}

void ParkedParent::restore(const std::string& key) {
  const auto number = base::parse_int(key.substr(key.find('/') + 1));
  starts_ = number.ok() ? static_cast<int>(*number) : kMostStarts;
  key_ = key;
  wait_for_socket();
}

/// It listens once it has imported everything.
void ParkedParent::wait_for_socket() {
  auto watch = world_.files.watch(settings_.directory, [this] {
    if (!is_connecting_ && !connection_ && world_.files.exists(socket())) connect();
  });
  if (watch.ok()) watch_ = std::move(watch).value();
  if (world_.files.exists(socket())) connect();
}

void ParkedParent::connect() {
  is_connecting_ = true;
  world_.network.connect(
      {socket(), 0}, kConnectTimeout,
      [this, key = key_,
       alive = std::weak_ptr(alive_)](base::Result<std::unique_ptr<world::Connection>> made) {
        if (alive.expired() || key != key_) return;
        is_connecting_ = false;
        if (!made.ok()) return;  // bound, and not listening yet: a change of its directory follows
        connection_ = std::move(made).value();
        lines_ = JsonLines();
        connection_->start({.on_data =
                                [this](std::string_view bytes) {
                                  lines_.feed(bytes, [this](const Json& message) {
                                    if (!message.contains("ready")) return true;
                                    for (const Json& name : message["ready"]["modules"].items()) {
                                      has_jax_ = has_jax_ || name.as_string() == "jax";
                                    }
                                    is_ready_ = true;
                                    watch_.reset();
                                    on_change_();
                                    return true;
                                  });
                                },
                            .on_end = [this](const base::Status&) { is_ready_ = false; },
                            .on_drained = [] {}});
      });
}

void ParkedParent::on_end(const std::string& why) {
  const bool was_ready = std::exchange(is_ready_, false);
  world_.log.warning("launch.park", {{"message", (was_ready ? "the parked parent has ended: "
                                                            : "this command cannot be parked: ") +
                                                     why + "; workers are started anew"}});
  if (!was_ready) starts_ = kMostStarts;
  key_.clear();
  has_jax_ = is_connecting_ = false;
  watch_.reset();
  connection_.reset();
}

SpawnOrder ParkedParent::fork(const std::string& key, const std::map<std::string, std::string>& env,
                              const std::string& stdout_path,
                              const std::string& stderr_path) const {
  Json::Array argv;
  for (const std::string& word : settings_.command->argv) argv.emplace_back(word);
  Json variables = Json::object();
  for (const auto& [name, value] : env) variables.set(name, value);
  SpawnOrder order;
  order.key = key;
  order.parent = socket();
  order.request = Json::object({{"spawn", Json::object({{"argv", std::move(argv)},
                                                        {"module", settings_.command->is_module},
                                                        {"env", std::move(variables)},
                                                        {"cwd", settings_.working_directory},
                                                        {"stdout", stdout_path},
                                                        {"stderr", stderr_path}})}});
  return order;
}

SpawnOrder ParkedParent::fork_coordinator(const std::string& key, int port, int processes) const {
  SpawnOrder order;
  order.key = key;
  order.parent = socket();
  order.request = Json::object(
      {{"coordinator",
        Json::object({{"address", "0.0.0.0:" + std::to_string(port)}, {"processes", processes}})}});
  return order;
}

bool ParkedParent::has_forked(int pid) const {
  const auto text = world_.files.read("/proc/" + std::to_string(pid) + "/environ");
  if (!text.ok()) return false;
  const std::string marker = kMarkerVariable + ("=" + settings_.marker);
  const auto variables = base::split(*text, '\0');
  return std::find(variables.begin(), variables.end(), marker) != variables.end();
}

}  // namespace pelton::launch
