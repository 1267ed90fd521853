// SPDX-License-Identifier: Apache-2.0
#include "agent/kubelet_api.h"

#include "agent/cri_log.h"
#include "api/object.h"

namespace pelton::agent {
namespace {

using base::Json;

constexpr size_t kPiece = 256 * 1024;
constexpr size_t kMaxBacklog = 1024 * 1024;
constexpr base::Duration kBacklogPause = base::Duration::milliseconds(20);

void refuse(const net::ResponseSinkPtr& sink, int status, const std::string& message) {
  sink->respond(status, "text/plain; charset=utf-8", message + "\n");
}

bool is_true(const std::optional<std::string>& value) {
  return value == "true" || value == "1";
}

}  // namespace

/// One answer of a log: what is in the file, then, where it follows, what comes, until the end.
class KubeletApi::LogStream {
 public:
  LogStream(world::World world, ContainerPaths paths, bool is_following, LogOptions options,
            net::ResponseSinkPtr sink, std::function<void()> ended)
      : world_(world),
        paths_(std::move(paths)),
        is_following_(is_following),
        tail_lines_(options.tail_lines),
        reader_(options),
        sink_(std::move(sink)),
        ended_(std::move(ended)),
        timer_(world.timers) {}

  void start() {
    sink_->on_gone([this] { end(); });
    sink_->head({.status = 200, .headers = {{"Content-Type", "text/plain; charset=utf-8"}}});
    if (is_following_) {
      // The directory tells of the log's first appearance and of the container's end.
      auto watch = world_.files.watch(paths_.directory, [this] { pump(); });
      if (watch.ok()) directory_watch_ = std::move(watch).value();
    }
    pump();
  }

 private:
  void pump() {
    if (is_over_ || timer_.is_pending()) return;
    // Asked before reading: what is written before the end is read before the end.
    const bool is_last = !is_following_ || !world_.files.exists(paths_.directory) ||
                         read_exit(world_.files, paths_).has_value();
    if (!open()) return is_last ? end() : void();
    for (;;) {
      if (sink_->backlog() > kMaxBacklog) {
        return timer_.start(kBacklogPause, [this] { pump(); });
      }
      const auto piece = file_->read_at(offset_, kPiece);
      if (!piece.ok()) return end();
      offset_ += piece->size();
      const std::string text = reader_.read(*piece);
      if (!text.empty()) sink_->write(text);
      if (is_over_ || reader_.is_exhausted()) return end();
      if (piece->size() < kPiece) break;
    }
    if (is_last) end();
  }

  bool open() {
    if (file_) return true;
    auto file = world_.files.open(paths_.log(), world::OpenMode::Read);
    if (!file.ok()) return false;
    file_ = std::move(file).value();
    if (is_following_) {
      auto watch = world_.files.watch(paths_.log(), [this] { pump(); });
      if (watch.ok()) log_watch_ = std::move(watch).value();
    }
    if (tail_lines_) {
      const auto whole = world_.files.read(paths_.log());
      if (whole.ok()) offset_ = tail_offset(*whole, *tail_lines_);
    }
    return true;
  }

  /// Once; then this object is destroyed soon.
  void end() {
    if (std::exchange(is_over_, true)) return;
    timer_.cancel();
    sink_->on_gone(nullptr);
    if (!sink_->is_gone()) sink_->end();
    world_.timers.post(ended_);
  }

  world::World world_;
  ContainerPaths paths_;
  bool is_following_;
  std::optional<int64_t> tail_lines_;
  CriLogReader reader_;
  net::ResponseSinkPtr sink_;
  std::function<void()> ended_;
  world::Timer timer_;
  std::unique_ptr<world::File> file_;
  std::unique_ptr<world::FileWatch> directory_watch_, log_watch_;
  uint64_t offset_ = 0;
  bool is_over_ = false;
};

KubeletApi::KubeletApi(world::World world, Pods pods) : world_(world), pods_(std::move(pods)) {}
KubeletApi::~KubeletApi() = default;

void KubeletApi::handle(net::Request request, net::ResponseSinkPtr sink) {
  const std::string path(request.path());
  if (path == "/healthz") return sink->respond(200, "text/plain", "ok");
  if (request.identity.name.empty()) return refuse(sink, 401, "Unauthorized");
  if (request.identity.name != kApiServerIdentity) {
    return refuse(sink, 403,
                  "Forbidden: \"" + request.identity.name +
                      "\" is not the API server; ask it instead of the node");
  }
  if (request.method != "GET") return refuse(sink, 405, "method not allowed");
  if (path == "/pods" || path == "/pods/") return serve_pods(sink);
  constexpr std::string_view kLogs = "/containerLogs/";
  if (path.starts_with(kLogs)) return serve_logs(request, path.substr(kLogs.size()), sink);
  refuse(sink, 404, "404 page not found");
}

void KubeletApi::serve_pods(const net::ResponseSinkPtr& sink) {
  Json items = Json::array();
  for (const PodWorker* worker : pods_()) items.push_back(worker->pod());
  sink->respond(200, "application/json",
                Json::object({{"apiVersion", "v1"},
                              {"kind", "PodList"},
                              {"metadata", Json::object()},
                              {"items", std::move(items)}})
                    .dump());
}

void KubeletApi::serve_logs(const net::Request& request, const std::string& path,
                            net::ResponseSinkPtr sink) {
  const auto parts = base::split(path, '/');
  if (parts.size() != 3) return refuse(sink, 404, "404 page not found");
  const std::string namespace_name = base::percent_decode(parts[0]);
  const std::string pod_name = base::percent_decode(parts[1]);
  const std::string container = base::percent_decode(parts[2]);
  auto options = parse_log_options(world_.clock.now(),
                                   [&](std::string_view name) { return request.query(name); });
  if (!options.ok()) return refuse(sink, 400, options.status().message());
  const PodWorker* worker = nullptr;
  for (const PodWorker* candidate : pods_()) {
    const Json& pod = candidate->pod();
    if (api::namespace_of(pod) == namespace_name && api::name_of(pod) == pod_name) {
      worker = candidate;
    }
  }
  if (worker == nullptr) {
    return refuse(sink, 404, "pod \"" + pod_name + "\" is not on this node");
  }
  const bool is_previous = is_true(request.query("previous"));
  const auto attempt = worker->attempt(container, is_previous);
  if (!attempt && is_previous) {
    return refuse(sink, 400,
                  "previous terminated container \"" + container + "\" in pod \"" + pod_name +
                      "\" not found");
  }
  if (!attempt) {
    return refuse(
        sink, 400,
        "container \"" + container + "\" in pod \"" + pod_name + "\" is waiting to start");
  }
  const bool is_following = is_true(request.query("follow")) && !is_previous;
  const uint64_t id = next_stream_++;
  auto stream =
      std::make_unique<LogStream>(world_, *attempt, is_following, *options, std::move(sink),
                                  [this, id, alive = std::weak_ptr(alive_)] {
                                    if (!alive.expired()) streams_.erase(id);
                                  });
  LogStream& started = *(streams_[id] = std::move(stream));
  started.start();
}

}  // namespace pelton::agent
