// SPDX-License-Identifier: Apache-2.0
// JSON objects, one a line, over a stream: how init, supervisor, parked parent and agent speak.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "world/network.h"

namespace pelton::launch {

/// Cuts what arrives into lines.
class JsonLines {
 public:
  /// A line longer than this ends the conversation: nobody who speaks our protocols sends one.
  static constexpr size_t kLongest = 4 << 20;

  /// Calls `on_object` for each whole line that is JSON; other lines are skipped. `on_object` says
  /// whether to go on: false, where the reader may be gone. False where a line is too long.
  bool feed(std::string_view bytes, const std::function<bool(const base::Json&)>& on_object) {
    pending_ += bytes;
    size_t begin = 0;
    for (size_t end; (end = pending_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      const auto json = base::Json::parse(std::string_view(pending_).substr(begin, end - begin));
      if (json.ok() && !on_object(*json)) return false;
    }
    pending_.erase(0, begin);
    return pending_.size() <= kLongest;
  }

 private:
  std::string pending_;
};

inline void send_line(world::Connection& connection, const base::Json& json) {
  std::string line;
  json.dump_to(line);
  line += '\n';
  connection.send(line);
}

}  // namespace pelton::launch
