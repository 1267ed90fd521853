// SPDX-License-Identifier: Apache-2.0
// The second tier of checkpoints on one node: a JobPeers for each job whose memory is here, and the
// way in for other nodes' agents.
//
//   GET   /memory/JOB/VERSION         the manifests of that version that are here, in one JSON
//   GET   /memory/JOB/VERSION/PART    a part (Upgrade: pelton-part; incoming_part.h)
//   POST  /memory/JOB/VERSION/PART    an offer: the receiver pulls it, and answers when it has it
//
// Only agents of this cluster are served: who shows a node's certificate (system:nodes).
#pragma once
#include <map>
#include <memory>
#include <string>

#include "agent/job_memory.h"
#include "agent/peers/job_peers.h"
#include "agent/peers/peer_client.h"
#include "net/http.h"
#include "world/world.h"

namespace pelton::agent {

class PeerMemory final : public JobMemory::Follower {
 public:
  /// All must outlive it.
  PeerMemory(world::World world, client::Client& client, net::TlsContextPtr tls, std::string node);

  /// Where this node's kubelet interface listens: before any job is opened.
  void set_address(const world::Address& address) { address_ = address; }
  void serve(const net::Request& request, const net::ResponseSinkPtr& sink);

  void on_open(const std::string& job_uid, const std::string& directory) override;
  void on_policy(const std::string& job_uid, const base::Json* policy) override;
  void on_close(const std::string& job_uid) override;

 private:
  world::World world_;
  PeerClient client_;
  std::string node_;
  world::Address address_;
  std::map<std::string, std::unique_ptr<JobPeers>> jobs_;  ///< by uid
};

}  // namespace pelton::agent
