// SPDX-License-Identifier: Apache-2.0
// The part of a kubeconfig that a client needs: where the server is and how to prove who we are.
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "world/files.h"

namespace pelton::client {

/// One context, resolved: certificates and keys are PEM text, wherever they stood.
struct Kubeconfig {
  std::string server;       ///< "https://127.0.0.1:6443"
  std::string server_name;  ///< what its certificate must name, where not the host of `server`
  std::string ca_pem;
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::string token;
  std::string namespace_name = "default";

  /// For a client certificate and what kubectl reads, with everything embedded.
  std::string to_yaml() const;
};

/// `context`: "" is current-context. Files that it names are read, relative to `directory`.
/// InvalidArgument or NotFound names the context, cluster, user or file that is wrong.
base::Result<Kubeconfig> parse_kubeconfig(std::string_view yaml, world::Files& files,
                                          const std::string& directory,
                                          std::string_view context = "");
/// Reads the file and parses it.
base::Result<Kubeconfig> load_kubeconfig(world::Files& files, const std::string& path,
                                         std::string_view context = "");

}  // namespace pelton::client
