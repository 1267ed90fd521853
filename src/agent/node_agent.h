// SPDX-License-Identifier: Apache-2.0
// One node of the embedded cluster: a kubelet whose containers are sandboxed processes.
//
//   NodeAgent agent(world, transport, options);
//   agent.start([](base::Status status) { … });
//
// It registers its Node, renews its Lease, watches the pods that are bound to the node, and gives
// each a PodWorker. It may be killed at any moment: pods run on, and the next agent with the same
// options finds them again. It never runs a pod of which the API says that it has ended.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/agent_context.h"
#include "agent/kubelet_api.h"
#include "agent/node_health.h"
#include "agent/node_object.h"
#include "agent/peers/peer_memory.h"
#include "agent/pod_worker.h"
#include "agent/usage_meter.h"
#include "client/cache.h"
#include "client/client.h"
#include "client/informer.h"
#include "net/http_server.h"
#include "net/tls.h"

namespace pelton::agent {

struct KubeletFront {
  net::TlsContextPtr tls;  ///< its own certificate and the cluster's authority for clients
  world::Address listen = {"127.0.0.1", 0};  ///< port 0: any free one, told in the Node
  /// With the node's certificate, to the same interface of other nodes; null: plain.
  net::TlsContextPtr peers = nullptr;
};

class NodeAgent {
 public:
  /// `transport` speaks as system:node:NAME and must outlive the agent.
  NodeAgent(world::World world, client::Transport& transport, AgentOptions options,
            KubeletFront front);
  /// Ends nothing but itself: pods run on.
  ~NodeAgent();
  NodeAgent(const NodeAgent&) = delete;
  NodeAgent& operator=(const NodeAgent&) = delete;

  /// `started`: Ok when it listens, has found its earlier pods again and begins to speak to the API
  /// (which may be down); an error where it cannot work at all (a missing tool, the state directory
  /// held by another agent, the port).
  void start(std::function<void(base::Status)> started);
  /// Where the kubelet interface listens; after start.
  world::Address kubelet_address() const { return address_; }
  /// The pods that the node takes care of, by uid.
  std::vector<const PodWorker*> workers() const;

 private:
  base::Status listen();
  std::vector<MeteredContainer> running_containers() const;
  base::Rng rng(std::string_view purpose) const;
  void adopt_pods();
  void begin();
  void reconcile_soon();
  void reconcile();
  void admit(const base::Json& pod);
  /// Whether the pod's devices are held by one that the API has no more and that is being ended.
  bool waits_for_devices(const base::Json& pod);
  std::function<void()> forgets(const std::string& uid);
  void register_node();
  void push_node_status();
  void renew_lease();
  void on_node_seen(const base::Json& node);

  world::World world_;
  AgentOptions options_;
  KubeletFront front_;
  client::Client client_;
  client::Cache cache_;
  std::unique_ptr<world::FileLock> lock_;
  std::unique_ptr<AgentContext> context_;
  std::map<std::string, std::unique_ptr<PodWorker>> workers_;  ///< by uid
  std::unique_ptr<UsageMeter> meter_;
  std::unique_ptr<NodeHealth> health_;
  std::unique_ptr<PeerMemory> peers_;
  KubeletApi api_;
  std::unique_ptr<net::HttpServer> server_;
  world::Address address_;
  std::unique_ptr<client::Informer> pods_, node_;
  NodeFacts facts_;
  base::Json node_status_;
  world::Timer lease_timer_, status_timer_, register_timer_;
  bool is_registered_ = false;
  bool is_status_in_flight_ = false;
  bool is_lease_in_flight_ = false;
  bool is_reconcile_posted_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::agent
