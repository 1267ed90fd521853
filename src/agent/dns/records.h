// SPDX-License-Identifier: Apache-2.0
// Which names exist in a cluster: from Services and EndpointSlices to the name server's hosts file.
// Pure.
//
//   SERVICE.NAMESPACE.svc.cluster.local           the addresses of its ready endpoints
//   HOSTNAME.SERVICE.NAMESPACE.svc.cluster.local  an endpoint that has a hostname
//
// There is no service proxy in the embedded cluster: the name of a Service with a cluster IP
// resolves to its endpoints' own addresses too, as a headless one's does. A client that connects by
// name to the port that the pods listen on works; the cluster IP itself and a `port` that differs
// from its targetPort do not. Pods find names by the search domains in their resolv.conf, so that
// `job-workers-0-0.job` is enough within a namespace.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"

namespace pelton::agent::dns {

/// Address -> full names, both in order, so that equal clusters give equal files.
using Records = std::map<std::string, std::set<std::string>>;

/// Slices whose Service is not there, or is of another namespace, count for nothing. An endpoint
/// counts where its `ready` condition is not false: publishNotReadyAddresses is the slice writer's.
Records build_records(const std::vector<const base::Json*>& services,
                      const std::vector<const base::Json*>& endpoint_slices);

/// In the form of hosts(5): one line per address.
std::string hosts_file(const Records& records);

}  // namespace pelton::agent::dns
