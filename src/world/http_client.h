// SPDX-License-Identifier: Apache-2.0
// HTTP calls to a server that is not ours, from a thread that may wait.
//
// Several calls go out side by side; each is tried again as its caller says. The connections are
// kept for the next calls.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace pelton::world {

/// One call and what came of its last try.
struct HttpCall {
  std::string method;                ///< "GET", "HEAD", "PUT", "POST", "DELETE"
  std::string url;                   ///< as it goes out: percent-encoded
  std::vector<std::string> headers;  ///< "Name: value"
  std::string_view body;             ///< valid and unchanged until perform() returns
  char* to = nullptr;                ///< where the body of a success goes; else to `text`
  size_t room = 0;                   ///< there; a longer body is a failure

  int status = 0;       ///< of HTTP; 0: no answer, or a part of one: what the server did is unknown
  std::string failure;  ///< why there is none, for people
  std::map<std::string, std::string> answered;  ///< headers, names in lower case
  std::string text;                             ///< body; of an error, at most 64 KiB
  size_t got = 0;                               ///< bytes at `to`
};

/// After a try: how long to wait before the next one; absent: that was the last. `tries` from 1;
/// `elapsed` since the first began.
using TryAgain = std::function<std::optional<base::Duration>(const HttpCall& call, int tries,
                                                             base::Duration elapsed)>;

class HttpClient {
 public:
  virtual ~HttpClient() = default;
  /// Returns when all calls have ended. Any thread; as many connections as calls.
  virtual void perform(std::vector<HttpCall>& calls, const TryAgain& again) = 0;
};

}  // namespace pelton::world
