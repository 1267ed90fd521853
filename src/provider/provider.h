// SPDX-License-Identifier: Apache-2.0
// Where machines come from.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace pelton::provider {

/// Makes machines that become nodes. One loop.
class Provider {
 public:
  virtual ~Provider() = default;

  /// The machines that can be had, whether or not they are there now, those to be preferred first:
  /// each as the Node that it becomes (name, labels, taints, status.allocatable).
  virtual std::vector<base::Json> offers() const = 0;

  /// Asks for the machine of that offer. One that runs or is on its way is not made again, so that
  /// asking twice is asking once. `done`, once and never from within the call: NotFound where there
  /// is no such offer; Ok says that it is on its way, and its Node says when it is there. What has
  /// failed on its way is made again when it is asked for again.
  virtual void create(const std::string& node_name, std::function<void(base::Status)> done) = 0;
};

}  // namespace pelton::provider
