// SPDX-License-Identifier: Apache-2.0
// One run of a handler, as probes and lifecycle hooks name them: exec, httpGet, tcpSocket, sleep.
//
// An exec runs inside the container; the network ones start from within the pod's own network,
// since the machine has no route into it.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "agent/container_record.h"
#include "agent/probe_decision.h"
#include "base/json.h"
#include "net/http_client.h"
#include "world/world.h"

namespace pelton::agent {

/// Whom the handler is about.
struct HandlerTarget {
  std::string address;            ///< the pod's
  std::string network_namespace;  ///< the file that holds it
  base::Json container;           ///< its spec, for named ports
  ContainerPaths paths;           ///< of the running attempt
};

/// A port as a probe states it: a number, or the name of one of the container's ports.
/// InvalidArgument names it.
base::Result<uint16_t> resolve_port(const base::Json& container, const base::Json& port);

/// What an httpGet asks for: endpoint, request, and its URL as people read it.
struct HttpGetPlan {
  world::Address address;
  bool is_tls = false;
  net::Request request;
  std::string url;
};
base::Result<HttpGetPlan> plan_http_get(const HandlerTarget& target, const base::Json& http_get);

/// The text of a failed connection as a kubelet words it, e.g. "dial tcp 10.64.1.2:80: connect:
/// connection refused".
std::string dial_text(const world::Address& address, const base::Status& failure);

struct HandlerResult {
  ProbeOutcome outcome = ProbeOutcome::Unknown;
  std::string text;  ///< why not, or what an exec wrote
};

/// Ends what it has started when destroyed; `done` does not come then. `done` comes once, later,
/// at the latest after `timeout`, and may destroy it.
class HandlerRun {
 public:
  HandlerRun(world::World world, HandlerTarget target, const base::Json& handler,
             base::Duration timeout, std::function<void(HandlerResult)> done);
  ~HandlerRun();
  HandlerRun(const HandlerRun&) = delete;
  HandlerRun& operator=(const HandlerRun&) = delete;

 private:
  void exec(const base::Json& exec);
  void http_get(const base::Json& http_get);
  void tcp_socket(const base::Json& tcp_socket);
  void time_out();
  void maybe_finish_exec();
  void kill();
  void finish(ProbeOutcome outcome, std::string text);
  void fail(std::string text) { finish(ProbeOutcome::Failure, std::move(text)); }

  world::World world_;
  HandlerTarget target_;
  base::Duration timeout_;
  std::function<void(HandlerResult)> done_;
  world::Timer timer_;
  std::string timeout_text_, output_;
  ProbeOutcome timeout_outcome_ = ProbeOutcome::Failure;
  std::unique_ptr<world::Process> process_;
  std::optional<world::ExitState> exit_;
  bool has_output_ended_ = false;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<net::Exchange> exchange_;
  int http_status_ = 0;
  bool is_over_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::agent
