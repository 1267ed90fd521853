// SPDX-License-Identifier: Apache-2.0
// TCP (IPv4, IPv6) and Unix stream sockets on the loop. send() writes at once what the kernel takes
// and queues the rest.
#pragma once
#include <memory>
#include <vector>

#include "os/loop.h"
#include "world/network.h"

namespace pelton::os {

class OsNetwork final : public world::Network {
 public:
  explicit OsNetwork(Loop& loop);

  /// A Unix socket's file is removed with its listener; one that nobody listens on any more is
  /// replaced. InvalidArgument where the host is no IP literal and no path.
  base::Result<std::unique_ptr<world::Listener>> listen(
      const world::Address& address,
      std::function<void(std::unique_ptr<world::Connection>)> on_accept) override;
  void connect(const world::Address& address, base::Duration timeout,
               std::function<void(base::Result<std::unique_ptr<world::Connection>>)> done) override;
  base::Result<std::vector<world::Link>> links() override;

 private:
  Loop& loop_;
};

}  // namespace pelton::os
