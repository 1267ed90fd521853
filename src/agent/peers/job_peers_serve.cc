// SPDX-License-Identifier: Apache-2.0
// What other nodes' agents and this node's workers ask.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/peers/job_peers.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

using base::Json;
namespace checkpoint_names = decide::checkpoint;

constexpr size_t kMaxLine = 4096;
constexpr std::string_view kCopied = "/copied";
/// Of a node that has only to look. Another may have the part.
constexpr base::Duration kAnswer = base::Duration::seconds(5);

constexpr uint32_t kModeDirectory = 0777, kModeFile = 0666;

int http_status_of(const base::Status& status) {
  switch (status.code()) {
    case base::Code::NotFound:
      return 404;
    case base::Code::ResourceExhausted:
      return 507;
    case base::Code::InvalidArgument:
      return 400;
    default:
      return 503;
  }
}

void refuse(const net::ResponseSinkPtr& sink, const base::Status& why) {
  sink->respond(http_status_of(why), "text/plain; charset=utf-8", why.message() + "\n");
}

Json error_line(const base::Status& status) {
  return Json::object({{"error", status.message()}});
}

}  // namespace

struct JobPeers::Question {
  std::vector<PeerClient::Call> calls;
  size_t open = 0;
  base::Status failure;
};

// ---- other nodes ----

void JobPeers::serve(const net::Request& request, const std::string& path, const std::string& from,
                     const net::ResponseSinkPtr& sink) {
  if (checkpoint_names::version_in(path) && request.method == "GET") {
    return serve_manifests(path, sink);
  }
  if (path.ends_with(kCopied) && request.method == "GET") {
    return serve_copied(path.substr(0, path.size() - kCopied.size()), sink);
  }
  const std::optional<PartId> part = part_of(path);
  if (!part) return refuse(sink, base::not_found("no version or part: " + path));
  if (request.method == "POST") return take_offer(*part, request, from, sink);
  if (request.method == "GET") return serve_part(*part, request, sink);
  sink->respond(405, "text/plain", "method not allowed\n");
}

void JobPeers::serve_manifests(const std::string& directory, const net::ResponseSinkPtr& sink) {
  Json manifests = Json::array();
  for (const auto& holding : holdings()) {
    if (checkpoint_names::directory_name(holding.version) != directory) continue;
    for (const int writer : holding.parts) {
      const std::string path = path_of({holding.version, writer}, ".manifest");
      const auto real = world_.files.real_path(path);
      const auto text = world_.files.read(path);
      if (!real.ok() || *real != path || !text.ok()) continue;
      manifests.push_back(Json::object({{"writer", writer}, {"text", *text}}));
    }
  }
  sink->respond(200, "application/json",
                Json::object({{"manifests", std::move(manifests)}}).dump());
}

/// Answers when this node's parts of the version, or of a newer one, lie on those who get them.
void JobPeers::serve_copied(const std::string& directory, const net::ResponseSinkPtr& sink) {
  const auto version = checkpoint_names::version_in(directory);
  if (!version) return refuse(sink, base::not_found("no version: " + directory));
  std::erase_if(waiting_, [](const Waiting& each) { return each.sink->is_gone(); });
  waiting_.push_back({*version, sink});
  answer_waiting();
}

void JobPeers::answer_waiting() {
  // Who has nobody to copy to keeps nobody waiting.
  const auto answers = std::stable_partition(
      waiting_.begin(), waiting_.end(),
      [&](const Waiting& each) { return !targets_.empty() && each.version > copied_; });
  const std::vector<Waiting> now(answers, waiting_.end());
  waiting_.erase(answers, waiting_.end());
  for (const Waiting& each : now) {
    each.sink->respond(200, "application/json",
                       Json::object({{"stride", pace_.stride()},
                                     {"version", checkpoint_names::directory_name(
                                                     targets_.empty() ? each.version : copied_)}})
                           .dump());
  }
}

void JobPeers::serve_part(const PartId& part, const net::Request& request,
                          const net::ResponseSinkPtr& sink) {
  if (!net::asks_to_switch(request, "pelton-part")) {
    return refuse(sink, base::invalid_argument("a part is sent after Upgrade: pelton-part"));
  }
  auto outgoing = OutgoingPart::make(world_, path_of(part, ".manifest"), path_of(part, ".data"));
  if (!outgoing.ok()) return refuse(sink, outgoing.status());
  auto connection = sink->switch_protocols(
      {.status = 101, .headers = {{"Connection", "Upgrade"}, {"Upgrade", "pelton-part"}}});
  if (!connection) return;
  const auto place = sending_.insert(sending_.end(), *std::move(outgoing));
  (*place)->start(std::move(connection), [this, place] { sending_.erase(place); });
}

/// Answers when the part is here.
void JobPeers::take_offer(const PartId& part, const net::Request& request, const std::string& from,
                          const net::ResponseSinkPtr& sink) {
  const auto body = Json::parse(request.body);
  const int64_t port = body.ok() ? (*body)["port"].as_int() : 0;
  if (port < 1 || port > 65535) {
    return refuse(sink, base::invalid_argument("an offer names the address and port to pull from"));
  }
  peers_.know(from, {(*body)["address"].as_string(), static_cast<uint16_t>(port)});
  pace_.hear((*body)["stride"].as_int(0));
  pull(part, from, [this, sink](const base::Status& status) {
    if (status.ok()) {
      sink->respond(200, "application/json", R"({"done": true})");
      look_soon();
    } else {
      refuse(sink, status);
    }
  });
}

void JobPeers::pull(const PartId& part, const std::string& from,
                    std::function<void(base::Status)> done) {
  if (world_.files.exists(path_of(part, ".manifest"))) return done(base::ok());
  pulled_[part].push_back(std::move(done));
  if (pulls_.contains(part)) return;
  pulls_[part] = nullptr;
  collect(holdings());  // what gives way to it
  auto incoming =
      std::make_unique<IncomingPart>(world_.files, settings_.memory, settings_.job_uid, part);
  pulls_[part] = peers_.pull(from, target_of(to_string(part)), std::move(incoming),
                             [this, part](const base::Status& status) {
                               const PeerClient::Call call = std::exchange(pulls_[part], nullptr);
                               pulls_.erase(part);
                               const auto waiting = std::exchange(pulled_[part], {});
                               pulled_.erase(part);
                               for (const auto& each : waiting) each(status);
                             });
}

// ---- this node's workers ----

void JobPeers::accept(std::unique_ptr<world::Connection> connection) {
  const auto worker = workers_.emplace(workers_.end());
  worker->connection = std::move(connection);
  worker->connection->start(
      {.on_data = [this, worker](std::string_view b) { on_data(worker, b); },
       .on_end = [this, worker](const base::Status&) { workers_.erase(worker); },
       .on_drained = {}});
}

void JobPeers::on_data(std::list<Worker>::iterator worker, std::string_view bytes) {
  std::string& unread = worker->unread;
  unread += bytes;
  // An answer comes later; by then the worker may have gone.
  const world::Connection* asked = worker->connection.get();
  const Reply reply = [this, asked](const Json& json) {
    for (Worker& each : workers_) {
      if (each.connection.get() == asked) each.connection->send(json.dump() + "\n");
    }
  };
  size_t begin = 0;
  for (size_t end = 0; (end = unread.find('\n', begin)) != std::string::npos; begin = end + 1) {
    on_line(std::string_view(unread).substr(begin, end - begin), reply);
  }
  unread.erase(0, begin);
  if (unread.size() > kMaxLine) workers_.erase(worker);
}

void JobPeers::on_line(std::string_view line, const Reply& reply) {
  const auto message = Json::parse(line);
  if (!message.ok()) return reply(error_line(message.status()));
  const std::string& directory = (*message)["version"].as_string();
  if (checkpoint_names::version_in(directory)) {
    return ask_version(directory, [this, directory, reply](const base::Status& status) {
      const auto version = *checkpoint_names::version_in(directory);
      Json::Array parts;
      for (const auto& [part, nodes] : holders_) {
        if (part.version == version) parts.push_back(part.writer);
      }
      if (parts.empty() && !status.ok()) return reply(error_line(status));
      reply(Json::object({{"parts", std::move(parts)}}));
    });
  }
  if (const auto part = part_of((*message)["fetch"].as_string())) return fetch(*part, reply);
  reply(error_line(
      base::invalid_argument(R"(ask {"version": "step-…-g…"} or {"fetch": "step-…-g…/w…"})")));
}

/// Asks every node of the generation which parts of the version it holds.
void JobPeers::ask_version(const std::string& directory, std::function<void(base::Status)> done) {
  std::set<std::string> nodes;
  if (generation_) {
    for (const auto& member : generation_->members) nodes.insert(member.node);
  }
  nodes.erase(settings_.node);
  if (nodes.empty()) return done(base::unavailable("the job has no other node"));
  const auto version = *checkpoint_names::version_in(directory);
  std::erase_if(holders_, [&](const auto& each) { return each.first.version == version; });
  const auto place = questions_.insert(questions_.end(), std::make_shared<Question>());
  const std::shared_ptr<Question> question = *place;
  question->open = nodes.size();
  const auto take = [this, directory, version](const std::string& node, const std::string& text) {
    const auto json = Json::parse(text);
    if (!json.ok()) return;
    const std::string path = checkpoints() + "/" + directory;
    if (!world_.files.make_directories(path).ok()) return;
    const auto real = world_.files.real_path(path);
    if (!real.ok() || *real != path) return;
    world_.files.set_mode(path, kModeDirectory).ignore("then only the agent's own can use it");
    for (const Json& each : (*json)["manifests"].items()) {
      const PartId part{version, static_cast<int>(each["writer"].as_int(-1))};
      if (part.writer < 0) continue;
      holders_[part].push_back(node);
      if (world_.files.exists(path_of(part, ".manifest"))) continue;
      const std::string remote = path_of(part, ".manifest.remote");
      if (world_.files.replace(remote, each["text"].as_string()).ok()) {
        world_.files.set_mode(remote, kModeFile).ignore("then only the agent's own can read it");
      }
    }
  };
  for (const std::string& node : nodes) {
    question->calls.push_back(
        peers_.send(node,
                    {.method = "GET",
                     .target = target_of(directory),
                     .headers = {},
                     .body = "",
                     .identity = {}},
                    kAnswer,
                    [this, node, place, take, done,
                     weak = std::weak_ptr(question)](const base::Result<std::string>& answer) {
                      const auto open = weak.lock();
                      if (!open) return;
                      if (answer.ok()) {
                        take(node, *answer);
                      } else {
                        open->failure = answer.status();
                      }
                      if (--open->open > 0) return;
                      questions_.erase(place);
                      done(open->failure);
                    }));
  }
}

void JobPeers::fetch(const PartId& part, const Reply& reply) {
  const auto known = holders_.find(part);
  if (known != holders_.end()) return fetch_from(part, known->second, {}, reply);
  ask_version(checkpoint_names::directory_name(part.version), [this, part,
                                                               reply](const base::Status& status) {
    const auto found = holders_.find(part);
    if (found != holders_.end()) return fetch_from(part, found->second, status, reply);
    reply(error_line(status.ok() ? base::not_found("no node of the job holds " + to_string(part))
                                 : status));
  });
}

void JobPeers::fetch_from(const PartId& part, std::vector<std::string> nodes, base::Status last,
                          const Reply& reply) {
  if (nodes.empty()) {
    holders_.erase(part);  // asked anew the next time
    return reply(error_line(std::move(last).with("every node that holds it has failed")));
  }
  const std::string node = nodes.front();
  nodes.erase(nodes.begin());
  pull(part, node, [this, part, nodes = std::move(nodes), reply](const base::Status& status) {
    if (status.ok()) return reply(Json::object({{"done", true}}));
    fetch_from(part, nodes, status, reply);
  });
}

}  // namespace pelton::agent
