// SPDX-License-Identifier: Apache-2.0
// How an agent speaks to the agents of other nodes: their kubelet port, with TLS both ways. Where a
// node listens stands in its Node; its certificate has to name it.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "agent/peers/incoming_part.h"
#include "client/client.h"
#include "net/http_client.h"
#include "world/world.h"

namespace pelton::agent {

class PeerClient {
 public:
  /// `tls` shows this node's certificate; null: plain, as tests do. All must outlive it.
  PeerClient(world::World world, client::Client& client, net::TlsContextPtr tls);
  ~PeerClient();

  /// Calls under way end when this is destroyed; `done` does not come then.
  using Call = std::shared_ptr<void>;
  using Answer = std::function<void(base::Result<std::string>)>;
  /// The body of a 200, within `timeout`; the error says what another answer said.
  [[nodiscard]] Call send(const std::string& node, net::Request request, base::Duration timeout,
                          Answer done);
  /// GET of a part's stream into `part`, and its publishing.
  [[nodiscard]] Call pull(const std::string& node, const std::string& target,
                          std::unique_ptr<IncomingPart> part,
                          std::function<void(base::Status)> done);
  /// What a node has said of itself, which spares asking.
  void know(const std::string& node, const world::Address& address);

 private:
  struct Exchange;
  struct Pull;
  void find(const std::string& node, std::function<void(base::Result<world::Address>)> done);

  world::World world_;
  client::Client& client_;
  net::TlsContextPtr tls_;
  net::HttpClient http_;
  std::map<std::string, world::Address> addresses_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::agent
