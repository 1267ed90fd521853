// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor_channel.h"

#include <utility>

namespace pelton::agent {
namespace {

using base::Json;
namespace recovery = decide::recovery;

constexpr uint32_t kModeDirectory = 0755;
/// Whoever the container's user is.
constexpr uint32_t kModeSocket = 0666;
/// Of a peer that does not read what it is told.
constexpr size_t kMaxQueued = size_t{4} << 20;

}  // namespace

SupervisorChannel::SupervisorChannel(world::World world, std::string directory,
                                     std::function<void(recovery::PodReport)> on_report)
    : world_(world), directory_(std::move(directory)), on_report_(std::move(on_report)) {}

SupervisorChannel::~SupervisorChannel() = default;

base::Status SupervisorChannel::open() {
  if (listener_) return base::ok();
  PELTON_TRY(world_.files.make_directories(directory_));
  PELTON_TRY(world_.files.set_mode(directory_, kModeDirectory));
  const std::string path = directory_ + "/" + kSocketName;
  PELTON_ASSIGN(listener_, world_.network.listen(
                               {path, 0}, [this](std::unique_ptr<world::Connection> connection) {
                                 accept(std::move(connection));
                               }));
  return world_.files.set_mode(path, kModeSocket);
}

void SupervisorChannel::close() {
  peers_.clear();
  listener_.reset();
}

void SupervisorChannel::accept(std::unique_ptr<world::Connection> connection) {
  const auto peer = peers_.emplace(peers_.end());
  peer->connection = std::move(connection);
  peer->connection->start({.on_data = [this, peer](std::string_view b) { on_data(peer, b); },
                           .on_end = [this, peer](const base::Status&) { peers_.erase(peer); },
                           .on_drained = {}});
  if (!generation_.empty()) peer->connection->send(generation_);
}

void SupervisorChannel::on_data(std::list<Peer>::iterator peer, std::string_view bytes) {
  std::string& unread = peer->unread;
  unread += bytes;
  size_t begin = 0;
  for (size_t end = 0; (end = unread.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const base::Status status = on_line(std::string_view(unread).substr(begin, end - begin));
    if (status.ok()) continue;
    world_.log.warning("supervisor.line", {{"at", directory_}, {"error", status.message()}});
    peer->connection->send(Json::object({{"error", status.message()}}).dump() + "\n");
  }
  unread.erase(0, begin);
  if (unread.size() <= kMaxLine && peer->connection->queued_bytes() <= kMaxQueued) return;
  world_.log.warning("supervisor.line",
                     {{"at", directory_}, {"error", "a line without end, or it reads nothing"}});
  peers_.erase(peer);
}

base::Status SupervisorChannel::on_line(std::string_view line) {
  PELTON_ASSIGN(const Json message, Json::parse(line));
  // What a newer supervisor says besides is for a newer agent.
  if (!message["report"].is_object()) return base::ok();
  base::Result<recovery::PodReport> report = recovery::pod_report_of(message["report"]);
  if (!report.ok()) return std::move(report).status().with("report");
  on_report_(*std::move(report));
  return base::ok();
}

void SupervisorChannel::tell(const recovery::Generation& generation) {
  const std::string line =
      Json::object({{"generation", recovery::to_json(generation)}}).dump() + "\n";
  if (line == generation_) return;
  generation_ = line;
  for (auto peer = peers_.begin(); peer != peers_.end();) {
    const auto each = peer++;
    if (each->connection->queued_bytes() > kMaxQueued) {
      peers_.erase(each);  // it reads nothing; what it missed it is told on connecting again
    } else {
      each->connection->send(line);
    }
  }
}

}  // namespace pelton::agent
