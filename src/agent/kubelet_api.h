// SPDX-License-Identifier: Apache-2.0
// The part of a kubelet's HTTPS interface that the API server uses: logs, usage, exec and ports.
//
//   GET /healthz                                  "ok", also without a credential
//   GET /pods                                     the pods of this node, as a PodList
//   GET /stats/summary                            what node, pods and containers use now
//   GET /containerLogs/NAMESPACE/POD/CONTAINER    ?follow&previous&tailLines&sinceSeconds&…
//   GET|POST /exec/NAMESPACE/POD/CONTAINER        ?command&command&input&output&error&tty, a
//                                                 WebSocket
//   GET|POST /attach/NAMESPACE/POD/CONTAINER      ?output&error&tty, a WebSocket
//   GET|POST /portForward/NAMESPACE/POD           a WebSocket
//   GET|POST /memory/…                            of other nodes' agents (peers/peer_memory.h)
//
// The last three check everything before they ask how the client speaks, so that a client that
// falls back from one protocol to another gets the same error from both.
// For the rest only the API server is served (the client certificate's name): 401 to nobody, 403 to
// others.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/exec_session.h"
#include "agent/log_stream.h"
#include "agent/pod_worker.h"
#include "agent/port_forward.h"
#include "net/http.h"
#include "world/world.h"

namespace pelton::agent {

/// The name in the API server's client certificate.
constexpr const char* kApiServerIdentity = "pelton-apiserver";

class KubeletApi {
 public:
  using Pods = std::function<std::vector<const PodWorker*>()>;
  using Summary = std::function<base::Json()>;
  /// `pods` gives the pods of the node at any time, `summary` what they use.
  KubeletApi(world::World world, Pods pods, Summary summary);
  ~KubeletApi();

  /// Serves /memory/, and decides who may ask it.
  void set_memory(std::function<void(const net::Request&, const net::ResponseSinkPtr&)> memory) {
    memory_ = std::move(memory);
  }

  void handle(net::Request request, net::ResponseSinkPtr sink);

 private:
  void serve_logs(const net::Request& request, const std::string& path, net::ResponseSinkPtr sink);
  void serve_remote(const net::Request& request, const std::string& path,
                    const net::ResponseSinkPtr& sink, bool is_exec);
  void serve_ports(const net::Request& request, const std::string& path,
                   const net::ResponseSinkPtr& sink);
  void start_log(const ContainerPaths& paths, bool is_following, const LogOptions& options,
                 net::ResponseSinkPtr sink);
  const PodWorker* find_worker(std::string_view namespace_name, std::string_view pod_name) const;
  void serve_pods(const net::ResponseSinkPtr& sink);

  world::World world_;
  Pods pods_;
  Summary summary_;
  std::function<void(const net::Request&, const net::ResponseSinkPtr&)> memory_;
  uint64_t next_stream_ = 1;
  std::map<uint64_t, std::unique_ptr<LogStream>> streams_;
  std::map<uint64_t, std::unique_ptr<ExecSession>> sessions_;
  std::map<uint64_t, std::unique_ptr<PortForwardSession>> forwards_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::agent
