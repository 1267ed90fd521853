// SPDX-License-Identifier: Apache-2.0
#include "launch/generation_source.h"

#include <algorithm>
#include <utility>

namespace pelton::launch {
namespace {

using base::Json;
using decide::recovery::Generation;
using decide::recovery::PodReport;

constexpr base::Duration kConnectTimeout = base::Duration::seconds(5);
constexpr base::Duration kFirstPause = base::Duration::milliseconds(20);
constexpr base::Duration kLongestPause = base::Duration::seconds(1);

}  // namespace

base::Result<Generation> read_generation(world::Files& files, const std::string& path) {
  PELTON_ASSIGN(const std::string text, files.read(path));
  PELTON_ASSIGN(const Json json, Json::parse(text));
  return decide::recovery::generation_of(json);
}

base::Status write_generation(world::Files& files, const std::string& path,
                              const Generation& generation) {
  return files.replace(path, to_json(generation).dump());
}

LocalSource::LocalSource(world::World& world, Settings settings)
    : world_(world), settings_(std::move(settings)), tell_(world.timers) {}

void LocalSource::start(OnGeneration on_generation) {
  on_generation_ = std::move(on_generation);
  base::Result<Generation> known = read_generation(world_.files, settings_.record);
  if (known.ok()) return set(std::move(known).value());
  Generation first;
  first.number = 1;
  first.job_uid = settings_.job_uid;
  first.members = {settings_.member};
  first.reason = "Started";
  first.began = world_.clock.now();
  set(std::move(first));
}

void LocalSource::report(const PodReport& report) {
  if (report.generation != generation_.number || generation_.phase != Generation::Phase::Running) {
    return;
  }
  Generation next = generation_;
  if (report.stage == PodReport::Stage::Succeeded) {
    next.phase = Generation::Phase::Finished;
  } else if (report.stage == PodReport::Stage::Stopped && is_last()) {
    next.phase = Generation::Phase::Failed;
  } else if (report.stage == PodReport::Stage::Stopped) {
    ++next.number;
    next.began = world_.clock.now();
    next.reason = "RestartInPlace";
    // What was found damaged has been taken away by who found it.
    next.restore = decide::checkpoint::newest_complete({report.held}, {});
  } else {
    return;
  }
  set(std::move(next));
}

void LocalSource::set(Generation generation) {
  generation_ = std::move(generation);
  const base::Status written = write_generation(world_.files, settings_.record, generation_);
  if (!written.ok()) world_.log.error("launch.record", {{"message", written.message()}});
  tell_.start(base::Duration(), [this] { on_generation_(generation_, is_last()); });
}

AgentSource::AgentSource(world::World& world, std::string socket, std::string record)
    : world_(world),
      socket_(std::move(socket)),
      record_(std::move(record)),
      pause_(kFirstPause),
      retry_(world.timers),
      known_(world.timers) {}

void AgentSource::start(OnGeneration on_generation) {
  on_generation_ = std::move(on_generation);
  base::Result<Generation> known = read_generation(world_.files, record_);
  if (known.ok()) {
    known_.start(base::Duration(), [this, generation = std::move(known).value()] {
      on_generation_(generation, false);
    });
  }
  connect();
}

void AgentSource::connect() {
  world_.network.connect(
      {socket_, 0}, kConnectTimeout,
      [this, alive = std::weak_ptr(alive_)](base::Result<std::unique_ptr<world::Connection>> made) {
        if (alive.expired()) return;
        if (made.ok()) {
          on_connected(std::move(made).value());
        } else {
          on_gone();
        }
      });
}

void AgentSource::on_connected(std::unique_ptr<world::Connection> connection) {
  connection_ = std::move(connection);
  lines_ = JsonLines();
  connection_->start({.on_data =
                          [this](std::string_view bytes) {
                            const bool goes_on = lines_.feed(bytes, [this](const Json& message) {
                              on_message(message);
                              return true;
                            });
                            if (!goes_on) on_gone();
                          },
                      .on_end = [this](const base::Status&) { on_gone(); },
                      .on_drained =
                          [this] {
                            if (std::exchange(is_behind_, false)) send_newest();
                          }});
  is_behind_ = false;
  if (!report_.is_null()) send_newest();
}

/// An agent that does not read gets the newest when it does, and not all between.
void AgentSource::send_newest() {
  if (connection_->queued_bytes() > 0) {
    is_behind_ = true;
  } else {
    send_line(*connection_, Json::object({{"report", report_}}));
  }
}

void AgentSource::on_message(const Json& message) {
  pause_ = kFirstPause;
  has_said_gone_ = false;
  if (!message.contains("generation")) return;
  const base::Result<Generation> generation =
      decide::recovery::generation_of(message["generation"]);
  if (!generation.ok()) {
    world_.log.error("launch.generation", {{"message", generation.error().message()}});
    return;
  }
  const base::Result<Generation> known = read_generation(world_.files, record_);
  if (known.ok() && known->number > generation->number) return;
  const base::Status written = write_generation(world_.files, record_, *generation);
  if (!written.ok()) world_.log.error("launch.record", {{"message", written.message()}});
  on_generation_(*generation, false);
}

void AgentSource::on_gone() {
  connection_.reset();
  if (!std::exchange(has_said_gone_, true)) {
    world_.log.warning("launch.agent_away", {{"socket", socket_}});
  }
  retry_.start(pause_, [this] { connect(); });
  pause_ = std::min(pause_ * 2, kLongestPause);
}

void AgentSource::report(const PodReport& report) {
  report_ = to_json(report);
  if (connection_) send_newest();
}

}  // namespace pelton::launch
