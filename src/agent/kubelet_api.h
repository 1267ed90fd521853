// SPDX-License-Identifier: Apache-2.0
// The part of a kubelet's HTTPS interface that the API server uses: logs, usage.
//
//   GET /healthz                                  "ok", also without a credential
//   GET /pods                                     the pods of this node, as a PodList
//   GET /stats/summary                            what node, pods and containers use now
//   GET /containerLogs/NAMESPACE/POD/CONTAINER    ?follow&previous&tailLines&sinceSeconds&…
//
// Only the API server is served (the client certificate's name): 401 to nobody, 403 to others.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/log_stream.h"
#include "agent/pod_worker.h"
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

  void handle(net::Request request, net::ResponseSinkPtr sink);

 private:
  void serve_logs(const net::Request& request, const std::string& path, net::ResponseSinkPtr sink);
  void serve_pods(const net::ResponseSinkPtr& sink);

  world::World world_;
  Pods pods_;
  Summary summary_;
  uint64_t next_stream_ = 1;
  std::map<uint64_t, std::unique_ptr<LogStream>> streams_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::agent
