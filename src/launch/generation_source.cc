// SPDX-License-Identifier: Apache-2.0
#include "launch/generation_source.h"

#include <algorithm>
#include <climits>
#include <utility>

#include "decide/recovery/decide_recovery.h"

namespace pelton::launch {
namespace {

using base::Json;
namespace recovery = decide::recovery;
using decide::recovery::Generation;
using decide::recovery::PodReport;

constexpr base::Duration kConnectTimeout = base::Duration::seconds(5);
constexpr base::Duration kFirstPause = base::Duration::milliseconds(20);
/// Restarts against the same failure at the same step; a fourth would be one, too.
constexpr int kPatience = 3;
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
    : world_(world), settings_(std::move(settings)), tell_(world.timers), again_(world.timers) {}

void LocalSource::start(OnGeneration on_generation) {
  on_generation_ = std::move(on_generation);
  const auto text = world_.files.read(settings_.record);
  const base::Result<Json> known = text.ok() ? Json::parse(*text) : base::Result<Json>(Json());
  recovery::JobRecord record = recovery::job_record_of(known.ok() ? *known : Json());
  if (record.generation.number == 0) {
    record.uid = settings_.job_uid;
    record.full_world_size = settings_.member.ranks;
    Generation& first = record.generation;
    first.number = 1;
    first.job_uid = settings_.job_uid;
    first.members = {settings_.member};
    first.reason = "Started";
    first.began = world_.clock.now();
  }
  set(std::move(record));
}

void LocalSource::report(const PodReport& report) {
  report_ = report;
  // Before, something of it runs here, and nothing is to be decided for others.
  const bool is_over =
      report.stage == PodReport::Stage::Succeeded || report.stage == PodReport::Stage::Stopped;
  if (is_over && report.generation == record_.generation.number) decide();
}

void LocalSource::decide() {
  recovery::Observed observed;
  observed.record = record_;
  observed.policy.rungs.clear();
  if (!is_last()) observed.policy.rungs.insert(recovery::Rung::RestartInPlace);
  // Of who has done no step it is not known that it fails where it has failed before.
  observed.policy.patience = report_.first_step >= 0 ? kPatience : INT_MAX;
  observed.policy.budget.generations = INT_MAX;  // that is --max-restarts
  observed.wanted_pods = 1;
  recovery::PodFacts pod;
  pod.name = settings_.member.pod;
  pod.uid = settings_.member.pod_uid;
  pod.has_joined = true;
  pod.report = report_;
  observed.pods.push_back(std::move(pod));
  recovery::Decision decision = recovery::decide_recovery(observed, world_.clock.now());
  if (decision.look_again) again_.start(*decision.look_again, [this] { decide(); });
  Generation& next = decision.record.generation;
  if (next == record_.generation) return;
  if (next.phase == Generation::Phase::Failed) {
    next.number = record_.generation.number;  // nobody else has to be fenced
    world_.log.error("launch.stopped", {{"reason", next.reason}});
  }
  set(std::move(decision.record));
}

void LocalSource::set(recovery::JobRecord record) {
  record_ = std::move(record);
  const base::Status written = world_.files.replace(settings_.record, to_json(record_).dump());
  if (!written.ok()) world_.log.error("launch.record", {{"message", written.message()}});
  tell_.start(base::Duration(), [this] { on_generation_(record_.generation, is_last()); });
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
