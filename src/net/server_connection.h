// SPDX-License-Identifier: Apache-2.0
// One connection of a server: requests in, answers out, one at a time. Internal to net/.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "net/channel.h"
#include "net/http1.h"
#include "net/http_server.h"
#include "net/switched.h"

namespace pelton::net {

class ServerConnection;

/// What connections share with their server.
struct ServerShared {
  Handler handler;
  HttpServerOptions options;
  base::Duration tick;  ///< of the sweep; timeouts are counted in these
  std::function<void(ServerConnection&)> on_closed;
  bool is_stopping = false;
};

class ServerConnection : public std::enable_shared_from_this<ServerConnection> {
 public:
  ServerConnection(std::shared_ptr<ServerShared> shared, uint64_t id)
      : shared_(std::move(shared)), id_(id), reader_(shared_->options.limits) {}
  void start(world::Timers& timers, std::unique_ptr<world::Connection> connection,
             std::unique_ptr<TlsSession> tls);
  uint64_t id() const { return id_; }
  /// Once per tick: closes what has taken too long.
  void sweep();
  /// Closes where no answer is under way; else the connection ends with the answer.
  void close_when_idle();
  /// Ends now. The handler of an answer under way is told where `tell_handler`.
  void close(bool tell_handler);

  // The sink's side. All do nothing after the answer ended or the connection closed.
  void write_head(const ResponseHead& head);
  void write(std::string_view bytes);
  void end_answer();
  /// The handler let go of its sink without ending the answer.
  void abandon_answer();
  size_t backlog() const { return channel_->queued_bytes(); }
  /// Answers with this head and gives the connection away; null after it closed.
  std::unique_ptr<world::Connection> switch_protocols(const ResponseHead& head);

 private:
  class Sink;
  enum class Phase : uint8_t { Opening, Idle, Head, Body, Answering, Switched, Closing };

  void on_data(std::string_view bytes);
  void pump();
  void update_phase();
  void enter(Phase phase);
  base::Duration time_allowed() const;
  void handle(Request request);
  void reject(const Http1Error& error);
  void finish();
  void limit_reading();
  bool takes_requests() const;
  void on_end(base::Status status);
  bool is_slow_to_take();
  void sent(size_t bytes);

  std::shared_ptr<ServerShared> shared_;
  const uint64_t id_;
  std::shared_ptr<Channel> channel_;
  RequestReader reader_;
  Phase phase_ = Phase::Opening;
  int64_t ticks_left_ = 0;
  bool is_pumping_ = false;
  bool is_paused_ = false;
  bool is_closed_ = false;

  std::shared_ptr<SwitchedStream> switched_;  ///< in phase Switched

  // The answer under way. The handler owns the sink.
  std::weak_ptr<Sink> sink_;
  bool is_head_request_ = false;
  bool has_head_ = false;
  bool keeps_alive_ = true;
  Framing framing_;
  uint64_t declared_left_ = 0;
  int64_t bytes_out_ = 0;    ///< handed to the channel, since the connection began
  int64_t bytes_taken_ = 0;  ///< of these, the most that the peer was seen to have taken
  int64_t ticks_without_taking_ = 0;
};

}  // namespace pelton::net
