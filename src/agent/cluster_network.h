// SPDX-License-Identifier: Apache-2.0
// The network of the embedded cluster: namespaces and a bridge, made with iproute2. Needs root.
//
// One network namespace per cluster holds a bridge (10.64.0.1/16) and the name server; each pod has
// a namespace of its own with one veth end on that bridge. The host has no address in it and no
// route to it: pods reach each other and nothing else, and the host reaches pods only by entering
// the namespace (`ip netns exec NAME …`). A pod's UTS and IPC namespaces are held by files too, so
// a pod's surroundings need no process of their own and outlive any agent.
//
// All names derive from the data directory, so that whatever a killed process has left can be found
// and removed by the next one. All operations may be repeated.
#pragma once
#include <functional>
#include <string>

#include "agent/sandbox_command.h"
#include "base/status.h"
#include "world/processes.h"

namespace pelton::agent {

struct ClusterNetwork {
  std::string name;               ///< "pelton-<8 hex>": the network namespace
  std::string runtime_directory;  ///< "/run/pelton/<8 hex>": files that hold namespaces
  std::string data_directory;
};

/// By the absolute path of the data directory.
ClusterNetwork cluster_network_of(const std::string& data_directory);

using NetworkDone = std::function<void(base::Status)>;

/// Makes namespace and bridge where they are not there. Unavailable with the tool's words: usually
/// no root, or no iproute2.
void create_cluster_network(world::Processes& processes, const ClusterNetwork& network,
                            NetworkDone done);

/// Ends every process in the cluster's and its pods' namespaces by SIGKILL, waits until the pods'
/// shims have recorded that and ended, and removes the namespaces and files, the memory of
/// emptyDir volumes, and control groups. Agents must have ended before. Ok where there was nothing.
void delete_cluster_network(world::Processes& processes, const ClusterNetwork& network,
                            NetworkDone done);

struct PodAttachment {
  std::string uid;
  std::string hostname;
  std::string address;  ///< "10.64.1.2"
};

/// Where the pod's namespaces are held.
PodNamespaces pod_namespaces(const ClusterNetwork& network, const std::string& pod_uid);

/// Makes the pod's namespaces anew (what a killed agent left of them is removed first), with the
/// address on eth0, and the hostname.
void attach_pod(world::Processes& processes, const ClusterNetwork& network,
                const PodAttachment& pod, NetworkDone done);
/// Removes them; processes inside keep them alive until they end.
void detach_pod(world::Processes& processes, const ClusterNetwork& network,
                const std::string& pod_uid, NetworkDone done);

/// The PATH with which we look for the system's tools.
constexpr const char* kToolPath = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

}  // namespace pelton::agent
