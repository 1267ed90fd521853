// SPDX-License-Identifier: Apache-2.0
// Reliable byte streams between addresses.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"

namespace pelton::world {

/// A host (IP literal; names are not resolved here) and port, or a Unix socket: host is its
/// absolute path and port is 0.
struct Address {
  std::string host;
  uint16_t port = 0;
  /// To connect from within another network namespace: the file that holds it open (needs root).
  /// Empty: our own. Not for listening.
  std::string network_namespace;
  std::string to_string() const { return port == 0 ? host : host + ":" + std::to_string(port); }
  bool operator==(const Address&) const = default;
  auto operator<=>(const Address&) const = default;
};

/// What a connection tells its owner. Never called from within a call to the connection.
struct ConnectionEvents {
  std::function<void(std::string_view bytes)> on_data;
  /// The peer ended its side (Ok) or the connection broke (Unavailable). Last event.
  std::function<void(base::Status)> on_end;
  /// The send queue became empty after it was not.
  std::function<void()> on_drained;
};

/// An established stream. The owner destroys it to close at once; events may destroy it.
class Connection {
 public:
  virtual ~Connection() = default;
  /// Sets who is told; data that came earlier is told first. Call once, soon.
  virtual void start(ConnectionEvents events) = 0;
  /// Queues bytes; never blocks. The owner watches queued_bytes() and waits for on_drained.
  virtual void send(std::string_view bytes) = 0;
  virtual size_t queued_bytes() const = 0;
  /// Sends what is queued, then ends this side; on_end still comes when the peer ends.
  virtual void finish() = 0;
  virtual void pause_reading() = 0;
  virtual void resume_reading() = 0;
  virtual Address peer() const = 0;
};

/// Accepts until destroyed.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual Address address() const = 0;  ///< with the real port where 0 was asked for
};

/// A network interface other than loopback.
struct Link {
  std::string name;    ///< "eth0"
  bool is_up = false;  ///< set up, and has a carrier
};

class Network {
 public:
  virtual ~Network() = default;
  /// Unavailable where the address is taken; the message names it.
  virtual base::Result<std::unique_ptr<Listener>> listen(
      const Address& address, std::function<void(std::unique_ptr<Connection>)> on_accept) = 0;
  /// Calls `done` once with the connection, or Unavailable (refused, unreachable, timeout).
  virtual void connect(const Address& address, base::Duration timeout,
                       std::function<void(base::Result<std::unique_ptr<Connection>>)> done) = 0;
  /// The interfaces of our network namespace, each once.
  virtual base::Result<std::vector<Link>> links() = 0;
};

}  // namespace pelton::world
