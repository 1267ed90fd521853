// SPDX-License-Identifier: Apache-2.0
// The administrator's view of an embedded cluster, for commands: HTTPS to its API server.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/data_directory.h"
#include "client/client.h"
#include "client/https.h"
#include "net/http_client.h"
#include "world/world.h"

namespace pelton::cli {

class AdminClient {
 public:
  /// NotFound where the directory holds no cluster; the message says how to start one.
  static base::Result<std::unique_ptr<AdminClient>> make(world::World& world,
                                                         const DataDirectory& directory);
  client::Client& client() { return client_; }

  /// Calls back once all of these nodes are Ready, told by a watch. Unavailable names those that
  /// are not after `timeout`.
  void wait_for_ready_nodes(std::vector<std::string> names, base::Duration timeout,
                            std::function<void(base::Status)> done);

 private:
  struct Wait;
  AdminClient(world::World& world, std::unique_ptr<client::HttpsTransport> transport);

  world::World& world_;
  std::unique_ptr<client::HttpsTransport> transport_;
  client::Client client_;
  std::shared_ptr<Wait> wait_;
};

}  // namespace pelton::cli
