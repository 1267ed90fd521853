// SPDX-License-Identifier: Apache-2.0
#include "cli/admin_client.h"

#include <fmt/format.h>

#include "api/object.h"
#include "base/strings.h"
#include "cli/pki.h"
#include "client/cache.h"
#include "client/informer.h"

namespace pelton::cli {

/// An informer of Nodes that ends when all of them are Ready.
struct AdminClient::Wait {
  Wait(world::World& world, client::Client& client, std::vector<std::string> nodes)
      : names(std::move(nodes)),
        timeout(world.timers),
        informer(client, cache, world.timers, world.log, base::Rng(0), "Node") {}

  std::vector<std::string> missing() const {
    std::vector<std::string> result;
    for (const std::string& name : names) {
      const base::Json* node = cache.get("Node", "", name);
      if (!node || !api::is_condition_true(*node, "Ready")) result.push_back(name);
    }
    return result;
  }

  void finish(base::Status status) {
    if (!done) return;
    timeout.cancel();
    std::exchange(done, nullptr)(std::move(status));
  }

  std::vector<std::string> names;
  client::Cache cache;
  world::Timer timeout;
  client::Informer informer;
  std::function<void(base::Status)> done;
};

AdminClient::AdminClient(world::World& world, std::unique_ptr<client::HttpsTransport> transport)
    : world_(world), transport_(std::move(transport)), client_(*transport_, world.timers) {}

base::Result<std::unique_ptr<AdminClient>> AdminClient::make(world::World& world,
                                                             const DataDirectory& directory) {
  auto config = ClusterConfig::read(world.files, directory);
  if (!config.ok()) {
    return base::not_found(
        fmt::format("there is no cluster in {}; start one with 'pelton up --data-dir {}'",
                    directory.root, directory.root));
  }
  PELTON_ASSIGN(const client::Kubeconfig admin,
                kubeconfig_of(world.files, directory, "admin", config->port));
  PELTON_ASSIGN(auto transport, client::HttpsTransport::make(world.network, world.timers, admin));
  return std::unique_ptr<AdminClient>(new AdminClient(world, std::move(transport)));
}

void AdminClient::wait_for_ready_nodes(std::vector<std::string> names, base::Duration timeout,
                                       std::function<void(base::Status)> done) {
  wait_ = std::make_shared<Wait>(world_, client_, std::move(names));
  Wait* wait = wait_.get();
  wait->done = std::move(done);
  wait->cache.subscribe([wait](auto, const auto*, const auto*) {
    if (wait->missing().empty()) wait->finish(base::ok());
  });
  wait->timeout.start(timeout, [wait] {
    const std::vector<std::string> missing = wait->missing();
    wait->finish(base::unavailable(fmt::format(
        "{} of {} nodes are not Ready: {}. Their logs say why (log/agent-{}.log)", missing.size(),
        wait->names.size(), base::join(missing, ", "), missing.empty() ? "" : missing.front())));
  });
  wait->informer.start();
}

}  // namespace pelton::cli
