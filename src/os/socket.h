// SPDX-License-Identifier: Apache-2.0
// Socket addresses and established sockets: what listening and connecting have in common.
#pragma once
#include <sys/socket.h>

#include <memory>
#include <string>

#include "os/fd.h"
#include "os/loop.h"
#include "world/network.h"

namespace pelton::os {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  /// Of a Unix socket whose path does not fit: the address goes through this descriptor.
  std::shared_ptr<Fd> directory;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

/// InvalidArgument: neither an IP literal nor an absolute path. NotFound: a path of more than 107
/// bytes in a directory that is not there.
base::Result<SocketAddress> to_socket_address(const world::Address& address);
/// "unix" for a Unix socket without a name.
world::Address from_socket_address(const SocketAddress& address);
world::Address local_address(int fd);

/// Takes over a connected, non-blocking socket.
std::unique_ptr<world::Connection> make_connection(Loop& loop, Fd fd, world::Address peer);

}  // namespace pelton::os
