// SPDX-License-Identifier: Apache-2.0
// A byte stream over a connection, with TLS or without: what HTTP runs on.
//
// What is sent within one turn of the loop leaves in one piece (one TLS record, one system call),
// unless it is large.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/tls.h"
#include "world/network.h"
#include "world/timers.h"

namespace pelton::net {

/// What a channel tells its owner; never from within a call to it. close() within an event is
/// fine; then nothing more is told.
struct ChannelEvents {
  std::function<void()> on_open;  ///< the TLS handshake is done; never told for a plain channel
  std::function<void(std::string_view)> on_data;
  /// Ok: the peer ended properly. Unavailable: it broke, or ended without TLS's farewell.
  /// Unauthenticated: a certificate was not accepted. Last event.
  std::function<void(base::Status)> on_end;
  std::function<void()> on_drained;
};

class Channel : public std::enable_shared_from_this<Channel> {
 public:
  /// `tls` may be null.
  static std::shared_ptr<Channel> make(world::Timers& timers,
                                       std::unique_ptr<world::Connection> connection,
                                       std::unique_ptr<TlsSession> tls, ChannelEvents events);

  /// Ready for data: at once without TLS.
  bool is_open() const { return !tls_ || tls_->is_established(); }
  const Identity& peer() const;
  world::Address peer_address() const;  ///< empty after close()
  world::Timers& timers() const { return timers_; }
  /// Queues; leaves at the end of the turn.
  void send(std::string_view bytes);
  /// Where a sender may append, instead of send(), to spare a copy. Followed by sent_directly().
  std::string& outbox() { return outbox_; }
  void sent_directly() { schedule_flush(); }
  /// Bytes that the peer's kernel has not taken.
  size_t queued_bytes() const;
  /// Sends what is queued, says farewell, ends this side. on_end still comes.
  void finish();
  /// Ends at once, without events.
  void close();
  void pause_reading();
  void resume_reading();

 private:
  Channel(world::Timers& timers, std::unique_ptr<world::Connection> connection,
          std::unique_ptr<TlsSession> tls, ChannelEvents events);
  void start();
  void schedule_flush();
  void flush();
  void write(std::string_view bytes);
  void on_data(std::string_view bytes);
  void on_ciphertext(std::string_view bytes);
  void on_end(base::Status status);
  void end(base::Status status);

  world::Timers& timers_;
  std::unique_ptr<world::Connection> connection_;  ///< null after close()
  std::unique_ptr<TlsSession> tls_;
  ChannelEvents events_;
  std::string outbox_;     ///< plaintext of this turn
  std::string plaintext_;  ///< from the peer; a member to keep its memory
  bool is_flush_scheduled_ = false;
  bool is_finishing_ = false;
  bool has_ended_ = false;
};

}  // namespace pelton::net
