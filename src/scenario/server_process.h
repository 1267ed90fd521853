// SPDX-License-Identifier: Apache-2.0
// The API server of a simulated cluster: store, pipeline and HTTP front on one simulated process.
//
// Identity comes from the port (a simulation has no certificates): each caller has one of its own.
// Destroying it, and its process, is a crash.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/api_server.h"
#include "net/http_server.h"
#include "scenario/checkers.h"
#include "sim/sim_world.h"
#include "store/store.h"

namespace pelton::scenario {

class ServerProcess {
 public:
  static constexpr const char* kHost = "server";
  /// Callers in the order of their ports, from kFirstPort on.
  static constexpr uint16_t kFirstPort = 7000;

  /// Opens the store and serves. `checkers` sees everything; it outlives the process.
  ServerProcess(sim::SimProcess& process, std::vector<net::Identity> callers, Checkers& checkers);
  ~ServerProcess();

  bool is_serving() const { return is_serving_; }
  bool is_alive() const { return process_.is_alive(); }
  /// Ok, or why the store could not be opened or the system namespaces not made.
  const base::Status& status() const { return status_; }

 private:
  void on_opened(base::Result<std::unique_ptr<store::Store>> opened);
  void serve();
  void fail(base::Status status);
  /// The pipeline under one identity, with acknowledged writes told to the checkers.
  net::Handler handler_for(const net::Identity& identity);

  sim::SimProcess& process_;
  std::vector<net::Identity> callers_;
  Checkers& checkers_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Watch> watch_;
  std::unique_ptr<apiserver::ApiServer> api_;
  std::vector<std::unique_ptr<net::HttpServer>> fronts_;
  world::Timer turn_end_;
  bool is_serving_ = false;
  base::Status status_;
};

}  // namespace pelton::scenario
