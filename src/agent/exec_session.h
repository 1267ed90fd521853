// SPDX-License-Identifier: Apache-2.0
// One `kubectl exec`: a command beside a container's own, its streams in a WebSocket.
//
// The command gets the container's namespaces, root, environment, user and directory. It is a child
// of the agent and ends with the client, with the container and with the agent: nobody is left to
// read what it says. What it has started in the background and let go of stays, as upstream.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/container_record.h"
#include "agent/remote_command.h"
#include "net/websocket.h"
#include "world/world.h"

namespace pelton::agent {

/// A running container, as seen from beside it.
struct ExecTarget {
  ShimOrder order;
  RunningRecord running;
};

class ExecSession {
 public:
  /// `ended` is called once, from the loop; the session may be destroyed within.
  ExecSession(world::World world, ExecTarget target, RemoteOptions options,
              std::function<void()> ended);
  /// Kills what runs.
  ~ExecSession();
  ExecSession(const ExecSession&) = delete;
  ExecSession& operator=(const ExecSession&) = delete;

  /// Runs the command, over a connection that speaks one of remote_protocols().
  void start(std::unique_ptr<world::Connection> connection);

 private:
  void spawn();
  void on_message(std::string_view message);
  void on_output(RemoteChannel channel, std::string_view piece);
  void on_exit(world::ExitState state);
  void refuse(const base::Status& why);
  void finish_if_complete();
  void finish(const base::Json& status);
  void kill();
  void end();

  world::World world_;
  ExecTarget target_;
  RemoteOptions options_;
  std::function<void()> ended_;
  std::unique_ptr<net::WebSocket> socket_;
  std::unique_ptr<world::Process> process_;
  std::optional<world::ExitState> exit_;
  int open_outputs_ = 0;
  bool is_finished_ = false;
  world::Timer output_grace_;
};

}  // namespace pelton::agent
