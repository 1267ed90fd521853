// SPDX-License-Identifier: Apache-2.0
// The credentials of an embedded cluster: made once, kept in its data directory.
#pragma once
#include <string>

#include "base/status.h"
#include "cli/data_directory.h"
#include "client/kubeconfig.h"
#include "net/tls.h"
#include "world/world.h"

namespace pelton::cli {

/// The identity under which controllers work.
inline constexpr const char* kControllersName = "system:pelton-controllers";
/// CN of the certificate that the API server shows to node agents.
inline constexpr const char* kApiServerClientName = "pelton-apiserver";

/// Makes what is missing: the authority, the server's, administrator's and API server's client
/// certificates. Existing ones are kept.
base::Status ensure_cluster_credentials(world::World& world, const DataDirectory& directory);
/// A node's: client certificate (system:node:NAME) and, as NAME-serving, the one its HTTPS
/// interface shows.
base::Status ensure_node_credentials(world::World& world, const DataDirectory& directory,
                                     const std::string& node);
/// NotFound names the file.
base::Result<net::Credential> read_credential(world::Files& files, const DataDirectory& directory,
                                              const std::string& name);
/// How the holder of the credential `name` reaches the cluster's API server at `port`.
base::Result<client::Kubeconfig> kubeconfig_of(world::Files& files, const DataDirectory& directory,
                                               const std::string& name, uint16_t port);

}  // namespace pelton::cli
