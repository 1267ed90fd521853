// SPDX-License-Identifier: Apache-2.0
// Where a pod's supervisor (`pelton run`) and the node's agent tell each other what is new.
//
// A Unix socket in a directory of the pod's own, which is mounted into its containers: whoever
// speaks there is that pod, so there is no credential. Lines of JSON, both ways:
//
//   up    {"report": PodReport}          what happened to the workers
//   down  {"generation": Generation}     what is to run
//         {"error": "…"}                 a line that was not understood, and why
//
// Each side says its newest of a kind first after connecting, so that either may be killed at any
// moment; an older one that arrives late says so by its number. Several may be connected (a
// supervisor and its successor): all are told, and the last report counts.
#pragma once
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "decide/recovery/records.h"
#include "world/world.h"

namespace pelton::agent {

class SupervisorChannel {
 public:
  /// `directory` is the pod's own. `on_report` comes from the loop.
  SupervisorChannel(world::World world, std::string directory,
                    std::function<void(decide::recovery::PodReport)> on_report);
  ~SupervisorChannel();
  SupervisorChannel(const SupervisorChannel&) = delete;
  SupervisorChannel& operator=(const SupervisorChannel&) = delete;

  /// Makes the directory and listens. May be repeated. The error names the directory.
  base::Status open();
  /// Ends every connection and takes the socket away.
  void close();

  /// To all who are and will be connected.
  void tell(const decide::recovery::Generation& generation);

  /// The socket's name in the directory.
  static constexpr const char* kSocketName = "agent.sock";
  /// The longest line that is read.
  static constexpr size_t kMaxLine = size_t{256} << 10;

 private:
  struct Peer {
    std::unique_ptr<world::Connection> connection;
    std::string unread;
  };
  void accept(std::unique_ptr<world::Connection> connection);
  void on_data(std::list<Peer>::iterator peer, std::string_view bytes);
  /// What is wrong with the line, where something is.
  base::Status on_line(std::string_view line);

  world::World world_;
  std::string directory_;
  std::function<void(decide::recovery::PodReport)> on_report_;
  std::unique_ptr<world::Listener> listener_;
  std::list<Peer> peers_;
  std::string generation_;  ///< the newest, as a line
};

}  // namespace pelton::agent
