// SPDX-License-Identifier: Apache-2.0
#include "agent/kubelet_api.h"

#include "agent/cri_log.h"
#include "api/object.h"

namespace pelton::agent {
namespace {

using base::Json;

void refuse(const net::ResponseSinkPtr& sink, int status, const std::string& message) {
  sink->respond(status, "text/plain; charset=utf-8", message + "\n");
}

bool is_true(const std::optional<std::string>& value) {
  return value == "true" || value == "1";
}

}  // namespace

KubeletApi::KubeletApi(world::World world, Pods pods, Summary summary)
    : world_(world), pods_(std::move(pods)), summary_(std::move(summary)) {}
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
  if (path == "/stats/summary") {
    return sink->respond(200, "application/json", summary_().dump());
  }
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
