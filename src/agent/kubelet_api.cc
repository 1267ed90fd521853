// SPDX-License-Identifier: Apache-2.0
#include "agent/kubelet_api.h"

#include "agent/attach_sink.h"
#include "api/object.h"

namespace pelton::agent {
namespace {

using base::Json;

void refuse(const net::ResponseSinkPtr& sink, int status, const std::string& message) {
  sink->respond(status, "text/plain; charset=utf-8", message + "\n");
}

/// In upstream's words.
std::string why_waiting(const std::string& reason) {
  if (reason == "ErrImagePull") return "image can't be pulled";
  if (reason == "ImagePullBackOff") return "trying and failing to pull image";
  return reason.empty() ? "ContainerCreating" : reason;
}

/// Why a client that wants to switch, but not to what we speak, is not served.
std::string wrong_protocol(const net::Request& request, const base::Status& why) {
  if (!base::to_lower(request.headers.get("Upgrade")).starts_with("spdy")) return why.message();
  return "SPDY is not spoken here, only WebSocket: use kubectl 1.31 or later, without "
         "KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false or KUBECTL_PORT_FORWARD_WEBSOCKETS=false";
}

/// Switches to a WebSocket and the first of `ours` that is offered; null where it was refused or
/// the client left.
std::unique_ptr<world::Connection> switch_to_websocket(const net::Request& request,
                                                       const net::ResponseSinkPtr& sink,
                                                       const std::vector<std::string>& ours) {
  const auto offer = net::read_websocket_offer(request);
  if (!offer.ok()) {
    refuse(sink, 400, wrong_protocol(request, offer.status()));
    return nullptr;
  }
  const auto chosen = choose_protocol(offer->protocols, ours);
  if (!chosen) {
    refuse(sink, 400, "Sec-WebSocket-Protocol: want " + base::join(ours, " or "));
    return nullptr;
  }
  return sink->switch_protocols(net::accept_websocket(*offer, *chosen));
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
  if (memory_ && path.starts_with("/memory/")) return memory_(request, sink);
  if (request.identity.name.empty()) return refuse(sink, 401, "Unauthorized");
  if (request.identity.name != kApiServerIdentity) {
    return refuse(sink, 403,
                  "Forbidden: \"" + request.identity.name +
                      "\" is not the API server; ask it instead of the node");
  }
  for (const bool is_exec : {true, false}) {
    const std::string_view prefix = is_exec ? "/exec/" : "/attach/";
    if (!path.starts_with(prefix)) continue;
    return serve_remote(request, path.substr(prefix.size()), sink, is_exec);
  }
  constexpr std::string_view kPorts = "/portForward/";
  if (path.starts_with(kPorts)) return serve_ports(request, path.substr(kPorts.size()), sink);
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
  const PodWorker* worker = find_worker(namespace_name, pod_name);
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
    return refuse(sink, 400,
                  "container \"" + container + "\" in pod \"" + pod_name +
                      "\" is waiting to start: " + why_waiting(worker->waiting_reason(container)));
  }
  const bool is_following = is_true(request.query("follow")) && !is_previous;
  start_log(*attempt, is_following, *options, std::move(sink));
}

void KubeletApi::start_log(const ContainerPaths& paths, bool is_following,
                           const LogOptions& options, net::ResponseSinkPtr sink) {
  const uint64_t id = next_stream_++;
  auto stream = std::make_unique<LogStream>(world_, paths, is_following, options, std::move(sink),
                                            [this, id, alive = std::weak_ptr(alive_)] {
                                              if (!alive.expired()) streams_.erase(id);
                                            });
  LogStream& started = *(streams_[id] = std::move(stream));
  started.start();
}

const PodWorker* KubeletApi::find_worker(std::string_view namespace_name,
                                         std::string_view pod_name) const {
  for (const PodWorker* candidate : pods_()) {
    const Json& pod = candidate->pod();
    if (api::namespace_of(pod) == namespace_name && api::name_of(pod) == pod_name) {
      return candidate;
    }
  }
  return nullptr;
}

void KubeletApi::serve_remote(const net::Request& request, const std::string& path,
                              const net::ResponseSinkPtr& sink, bool is_exec) {
  if (request.method != "GET" && request.method != "POST") {
    return refuse(sink, 405, "method not allowed");
  }
  const auto parts = base::split(path, '/');
  if (parts.size() != 3) return refuse(sink, 404, "404 page not found");
  const std::string name = base::percent_decode(parts[2]);
  auto options = read_remote_options(request.target);
  if (!options.ok()) return refuse(sink, 400, options.status().message());
  if (is_exec && options->command.empty()) {
    return refuse(sink, 400, "you must specify at least 1 command for the pod exec");
  }
  const PodWorker* worker =
      find_worker(base::percent_decode(parts[0]), base::percent_decode(parts[1]));
  if (worker == nullptr) return refuse(sink, 404, "pod does not exist");
  const auto attempt = worker->attempt(name, false);
  const auto running =
      attempt && worker->is_live(name) ? read_running(world_.files, *attempt) : std::nullopt;
  auto order = running ? read_order(world_.files, *attempt)
                       : base::not_found("container not found (\"" + name + "\")");
  if (!order.ok()) return refuse(sink, 404, order.status().message());

  auto connection = switch_to_websocket(request, sink, remote_protocols());
  if (!connection) return;
  if (!is_exec) {
    return start_log(*attempt, true, LogOptions{.tail_lines = 0},
                     std::make_shared<AttachSink>(world_, std::move(connection)));
  }
  const uint64_t id = next_stream_++;
  ExecTarget target{std::move(order).value(), *running};
  auto session = std::make_unique<ExecSession>(world_, std::move(target), std::move(*options),
                                               [this, id, alive = std::weak_ptr(alive_)] {
                                                 if (!alive.expired()) sessions_.erase(id);
                                               });
  ExecSession& started = *(sessions_[id] = std::move(session));
  started.start(std::move(connection));
}

void KubeletApi::serve_ports(const net::Request& request, const std::string& path,
                             const net::ResponseSinkPtr& sink) {
  if (request.method != "GET" && request.method != "POST") {
    return refuse(sink, 405, "method not allowed");
  }
  const auto parts = base::split(path, '/');
  if (parts.size() != 2) return refuse(sink, 404, "404 page not found");
  const PodWorker* worker =
      find_worker(base::percent_decode(parts[0]), base::percent_decode(parts[1]));
  if (worker == nullptr) return refuse(sink, 404, "pod does not exist");
  auto connection = switch_to_websocket(request, sink, {kPortForwardProtocol});
  if (!connection) return;
  const uint64_t id = next_stream_++;
  PortForwardSession::Target target{.pod = api::name_of(worker->pod()),
                                    .uid = api::uid_of(worker->pod()),
                                    .network_namespace = worker->network_namespace()};
  auto session = std::make_unique<PortForwardSession>(world_, std::move(target),
                                                      [this, id, alive = std::weak_ptr(alive_)] {
                                                        if (!alive.expired()) forwards_.erase(id);
                                                      });
  PortForwardSession& started = *(forwards_[id] = std::move(session));
  started.start(std::move(connection));
}

}  // namespace pelton::agent
