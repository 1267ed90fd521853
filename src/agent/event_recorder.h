// SPDX-License-Identifier: Apache-2.0
// Tells people what happened to a pod or to the node: Events of the API, as `kubectl describe`
// shows them.
//
// An event that says the same about the same object again raises the count of the first. Best
// effort: an event that cannot be written is lost, and nothing waits for it.
#pragma once
#include <map>
#include <string>

#include "base/json.h"
#include "client/client.h"
#include "world/clock.h"

namespace pelton::agent {

class EventRecorder {
 public:
  /// `component` and `host` become the event's source. Both references must outlive it.
  EventRecorder(client::Client& client, world::Clock& clock, std::string component,
                std::string host);

  /// `object`: a pod (without a kind too), or the Node; the event of a Node stands in the namespace
  /// "default". `container` may be ""; is_warning: type Warning instead of Normal.
  void record(const base::Json& object, bool is_warning, const std::string& reason,
              const std::string& message, const std::string& container = "");

 private:
  client::Client& client_;
  world::Clock& clock_;
  std::string component_, host_;
  struct Seen {
    std::string name;
    int64_t count = 1;
  };
  std::map<std::string, Seen> seen_;  ///< by what it says; forgotten when it grows large
};

}  // namespace pelton::agent
