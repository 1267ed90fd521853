// SPDX-License-Identifier: Apache-2.0
// Whether a pod has lost its network: from the state of its interfaces, looked at again and again.
// Pure; times are on the caller's clock.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"

namespace pelton::decide::health {

/// A network interface other than loopback.
struct Link {
  std::string name;    ///< "eth0"
  bool is_up = false;  ///< set up, and has a carrier
  bool operator==(const Link&) const = default;
};

struct DownLink {
  std::string name;
  base::Instant since;  ///< when it was first seen to be down
  bool operator==(const DownLink&) const = default;
};

class LinkWatch {
 public:
  /// All interfaces there are now.
  void look(const std::vector<Link>& links, base::Instant now);
  /// The one that is down for longest, of those that were up before; where none is up, and so
  /// nobody can be reached, any. None: all is well, as far as one can see.
  std::optional<DownLink> down() const;

 private:
  std::set<std::string> known_;  ///< were up once
  std::map<std::string, base::Instant> down_since_;
};

}  // namespace pelton::decide::health
