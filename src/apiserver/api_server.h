// SPDX-License-Identifier: Apache-2.0
// The Kubernetes REST API as a request pipeline without sockets.
//
// A request goes: path -> who (identity set by the front) -> may they -> which resource and verb ->
// admission (decode, default, prepare, validate) -> one transaction of the store -> an answer,
// after it is durable. Admission runs outside the store's writer; a conflict makes it run again on
// the newer object where the client did not insist on a version.
//
//   apiserver::ApiServer server(clock, timers, random, log, store, api::Registry::builtin(), {});
//   server.start([](base::Status s) { … });          // makes the system namespaces
//   net::HttpServer front(network, timers, tls, server.handler());
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "api/registry.h"
#include "apiserver/kubelet_client.h"
#include "base/log.h"
#include "net/http.h"
#include "world/clock.h"
#include "world/random.h"
#include "world/timers.h"

namespace pelton::store {
class Store;
}

namespace pelton::apiserver {

struct ApiServerOptions {
  /// What /metrics answers, in Prometheus' text format; an error answers 503. Unset: 404.
  std::function<base::Result<std::string>()> metrics = nullptr;
  /// For pods/log; null: logs answer 503. Not owned.
  KubeletClient* kubelets = nullptr;
  std::string service_range = "10.96.0.0/16";
  /// How often a watch that allows bookmarks gets one.
  base::Duration bookmark_interval = base::Duration::seconds(30);
  /// A watch without timeoutSeconds ends after this; the client begins the next.
  base::Duration watch_timeout = base::Duration::minutes(45);
  /// A watcher that leaves this many bytes untaken is cut; it lists or watches again.
  size_t watch_backlog_max = 8 * 1024 * 1024;
};

class ApiServer {
 public:
  /// Everything passed must outlive the server. Single-threaded: all of it on the loop.
  ApiServer(world::Clock& clock, world::Timers& timers, world::Random& random, base::Log& log,
            store::Store& store, const api::Registry& registry, ApiServerOptions options = {});
  /// Ends all watches. Requests under way whose commit is pending are still answered.
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  /// Makes default, kube-system, kube-public and kube-node-lease where they are absent, then
  /// /readyz answers 200 and `done` is called once.
  void start(std::function<void(base::Status)> done);

  /// The pipeline. May be copied and outlive the server: it then answers 503.
  net::Handler handler();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace pelton::apiserver
