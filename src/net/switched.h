// SPDX-License-Identifier: Apache-2.0
// A connection that has left HTTP, as a stream for whoever speaks on it now. Internal to net/.
//
// The HTTP connection keeps its place (in the server's count, in the client's pool) until the
// stream's holder lets go; until then it passes on what its channel tells.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "net/channel.h"
#include "world/network.h"

namespace pelton::net {

class SwitchedStream : public std::enable_shared_from_this<SwitchedStream> {
 public:
  /// `early`: what came after the head. `let_go` is called once, when the holder is gone.
  SwitchedStream(std::shared_ptr<Channel> channel, std::string early, std::function<void()> let_go)
      : channel_(std::move(channel)), early_(std::move(early)), let_go_(std::move(let_go)) {}
  /// The holder's side. Once.
  static std::unique_ptr<world::Connection> as_connection(std::shared_ptr<SwitchedStream> stream);

  // The channel's side.
  void on_data(std::string_view bytes);
  void on_end(base::Status status);
  void on_drained();

 private:
  class Holder;
  void start(world::ConnectionEvents events);
  void pause(bool is_paused);
  void deliver_early_soon();
  void deliver_early();
  void release();

  std::shared_ptr<Channel> channel_;
  std::shared_ptr<world::ConnectionEvents> events_;  ///< null before start() and after release()
  std::string early_;                                ///< came before anybody listened
  std::optional<base::Status> end_;                  ///< that nobody has been told
  std::function<void()> let_go_;
  bool is_paused_ = false;
};

}  // namespace pelton::net
