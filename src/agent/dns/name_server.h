// SPDX-License-Identifier: Apache-2.0
// The cluster's name server: dnsmasq in the cluster's network namespace, fed from the API.
//
// It listens on the bridge's address only, where only pods can reach it. Records are written to a
// hosts file and dnsmasq is told by SIGHUP, which also empties its cache; what does not exist is
// never cached, so a pod that asks too early finds the name as soon as it is there. It
// outlives a killed server, whose successor takes it over, and is started again when it ends.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "agent/cluster_network.h"
#include "agent/dns/records.h"
#include "client/cache.h"
#include "client/client.h"
#include "client/informer.h"
#include "world/world.h"

namespace pelton::agent {

struct NameServerOptions {
  std::string data_directory;  ///< absolute: files go to dns/ below it; names the network
};

class NameServer {
 public:
  /// `transport` may be the server's own, in process; it must outlive this.
  NameServer(world::World world, client::Transport& transport, NameServerOptions options);
  /// Ends dnsmasq.
  ~NameServer();
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;

  /// `started` once: Ok when it runs; NotFound where dnsmasq is missing (the message names the
  /// package); FailedPrecondition where the cluster's network is not there.
  void start(std::function<void(base::Status)> started);
  /// How often dnsmasq has been told of new records; for tests.
  int updates() const { return updates_; }

 private:
  base::Status spawn();
  void on_change();
  void write_records();
  std::string path(const std::string& name) const {
    return options_.data_directory + "/dns/" + name;
  }
  bool adopt_predecessor();
  void on_exit();

  world::World world_;
  NameServerOptions options_;
  ClusterNetwork network_;
  client::Client client_;
  client::Cache cache_;
  std::unique_ptr<client::Informer> services_, slices_;
  std::unique_ptr<world::Process> process_;
  std::string dnsmasq_, nsenter_;
  std::string written_;        ///< what the hosts file holds
  base::Duration spawned_at_;  ///< of the clock's elapsed()
  world::Timer write_timer_, restart_timer_;
  int updates_ = 0;
};

}  // namespace pelton::agent
