// SPDX-License-Identifier: Apache-2.0
// The files of /etc that tell a pod who and where it is. Pure.
#pragma once
#include <string>

#include "base/json.h"

namespace pelton::agent {

/// The domain of every cluster.
constexpr const char* kClusterDomain = "cluster.local";

/// spec.hostname, or the pod's name, at most 63 characters.
std::string pod_hostname(const base::Json& pod);

struct PodEtc {
  std::string hosts;  ///< localhost, the pod's own names, hostAliases
  std::string hostname;
  std::string resolv_conf;  ///< the cluster's name server, unless dnsPolicy is None; dnsConfig
};
PodEtc build_pod_etc(const base::Json& pod, const std::string& address);

}  // namespace pelton::agent
