// SPDX-License-Identifier: Apache-2.0
#include "cli/pki.h"

#include <fmt/format.h>

#include "net/certificates.h"

namespace pelton::cli {
namespace {

// Ten years: an embedded cluster has nobody who would rotate its certificates.
constexpr base::Duration kLifetime = base::Duration::hours(24 * 3650);

base::Status write_credential(world::Files& files, const DataDirectory& directory,
                              const std::string& name, const net::Credential& credential) {
  // The key first: a certificate without its key would look complete.
  PELTON_TRY(files.replace(directory.key(name), credential.key_pem));
  return files.replace(directory.certificate(name), credential.certificate_pem);
}

/// Makes the credential `name` unless it is there.
base::Status ensure(world::World& world, const DataDirectory& directory, const std::string& name,
                    const std::function<base::Result<net::Credential>(
                        const net::Credential& authority, const net::Validity&)>& make) {
  if (world.files.exists(directory.certificate(name))) return base::ok();
  PELTON_ASSIGN(const net::Credential authority, read_credential(world.files, directory, "ca"));
  auto credential = make(authority, {world.clock.now(), kLifetime});
  if (!credential.ok()) return std::move(credential).status().with("certificate of " + name);
  return write_credential(world.files, directory, name, *credential);
}

base::Status ensure_client(world::World& world, const DataDirectory& directory,
                           const std::string& file, const net::Identity& identity) {
  return ensure(world, directory, file, [&](const auto& authority, const auto& validity) {
    return net::issue_client(authority, identity, validity);
  });
}

}  // namespace

base::Result<net::Credential> read_credential(world::Files& files, const DataDirectory& directory,
                                              const std::string& name) {
  net::Credential credential;
  PELTON_ASSIGN(credential.certificate_pem, files.read(directory.certificate(name)));
  PELTON_ASSIGN(credential.key_pem, files.read(directory.key(name)));
  return credential;
}

base::Status ensure_cluster_credentials(world::World& world, const DataDirectory& directory) {
  PELTON_TRY(world.files.make_directories(directory.pki()));
  if (!world.files.exists(directory.certificate("ca"))) {
    PELTON_ASSIGN(const net::Credential authority,
                  net::make_authority("pelton", {world.clock.now(), kLifetime}));
    PELTON_TRY(write_credential(world.files, directory, "ca", authority));
  }
  PELTON_TRY(ensure(world, directory, "apiserver", [](const auto& authority, const auto& validity) {
    return net::issue_server(
        authority, "kube-apiserver",
        {"127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
        validity);
  }));
  PELTON_TRY(ensure_client(world, directory, "admin", {"admin", {"system:masters"}}));
  PELTON_TRY(
      ensure_client(world, directory, "controllers", {kControllersName, {"system:masters"}}));
  // Kubernetes' own group for who may read /metrics and nothing else.
  PELTON_TRY(ensure_client(world, directory, "monitoring", {"prometheus", {"system:monitoring"}}));
  return ensure_client(world, directory, "apiserver-kubelet",
                       {kApiServerClientName, {"system:masters"}});
}

base::Status ensure_node_credentials(world::World& world, const DataDirectory& directory,
                                     const std::string& node) {
  PELTON_TRY(
      ensure_client(world, directory, "node-" + node, {"system:node:" + node, {"system:nodes"}}));
  return ensure(world, directory, "node-" + node + "-serving",
                [&](const auto& authority, const auto& validity) {
                  return net::issue_server(authority, "system:node:" + node, {node, "127.0.0.1"},
                                           validity);
                });
}

base::Result<client::Kubeconfig> kubeconfig_of(world::Files& files, const DataDirectory& directory,
                                               const std::string& name, uint16_t port) {
  client::Kubeconfig config;
  config.server = fmt::format("https://127.0.0.1:{}", port);
  PELTON_ASSIGN(config.ca_pem, files.read(directory.certificate("ca")));
  PELTON_ASSIGN(net::Credential credential, read_credential(files, directory, name));
  config.client_certificate_pem = std::move(credential.certificate_pem);
  config.client_key_pem = std::move(credential.key_pem);
  return config;
}

}  // namespace pelton::cli
