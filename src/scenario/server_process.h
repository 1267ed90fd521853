// SPDX-License-Identifier: Apache-2.0
// The API server of a simulated cluster: store, pipeline and HTTP front on one simulated process.
//
// Identity comes from the port (a simulation has no certificates): each caller has one of its own,
// and, where the scenario says so, a cache and a bad network between it and the server. Destroying
// it, and its process, is a crash.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/api_server.h"
#include "net/http_server.h"
#include "scenario/cached_front.h"
#include "scenario/checkers.h"
#include "scenario/spec.h"
#include "sim/sim_world.h"
#include "store/store.h"

namespace pelton::scenario {

class ServerProcess {
 public:
  static constexpr const char* kHost = "server";
  /// Callers in the order of their ports, from kFirstPort on.
  static constexpr uint16_t kFirstPort = 7000;

  struct Caller {
    net::Identity identity;
    bool is_disturbed = false;     ///< stale gets and broken watches
    bool has_stale_lists = false;  ///< where it is disturbed
  };

  /// The answer to a successful write has left; `is_gang`: to a gang's binding.
  using OnAnswered = std::function<void(bool is_gang)>;

  /// Opens the store and serves. `checkers` sees everything; it outlives the process, as does
  /// `spec`. `on_answered` may crash the machine.
  ServerProcess(const Spec& spec, sim::SimProcess& process, std::vector<Caller> callers,
                Checkers& checkers, OnAnswered on_answered);
  ~ServerProcess();

  bool is_serving() const { return is_serving_; }
  bool is_alive() const { return process_.is_alive(); }
  /// Ends the process; its machine, and the cache of the machine's disk, go on.
  void kill() { process_.kill(); }
  /// Ok, or why the store could not be opened or the system namespaces not made.
  const base::Status& status() const { return status_; }
  /// The caller's process is a new one.
  void forget(size_t caller);

 private:
  void on_opened(base::Result<std::unique_ptr<store::Store>> opened);
  void serve();
  void fail(base::Status status);
  /// The pipeline for one caller, with acknowledged writes told to the checkers.
  net::Handler handler_for(size_t caller);
  void on_request(const net::Request& request);
  /// Deletes one of the nodes of a gang's binding in the moment in which that arrives.
  void meddle_with(const base::Json& gang_binding);

  sim::SimProcess& process_;
  const Spec& spec_;
  std::vector<Caller> callers_;
  Checkers& checkers_;
  const OnAnswered on_answered_;
  base::Rng rng_;
  net::Handler pipeline_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Watch> watch_;
  std::unique_ptr<apiserver::ApiServer> api_;
  std::vector<std::shared_ptr<CachedFront>> caches_;  ///< by caller; null: not disturbed
  std::vector<std::unique_ptr<net::HttpServer>> fronts_;
  world::Timer turn_end_;
  bool is_serving_ = false;
  base::Status status_;
};

}  // namespace pelton::scenario
