// SPDX-License-Identifier: Apache-2.0
// HTTP messages as values, and the two ends of an exchange, without sockets or a version of HTTP.
//
// A server side gets a Request and answers through a ResponseSink, which may stream for hours (a
// watch, a log). A client side sends a Request and is told through ResponseEvents. The API server's
// pipeline, the transports of client/ and the codecs of this folder all speak these.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/strings.h"
#include "world/network.h"

namespace pelton::net {

/// Header fields in order of arrival; names compare without case.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}
  void add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
  }
  /// The first field of that name, or "".
  std::string_view get(std::string_view name) const {
    for (const auto& [n, v] : fields_) {
      if (base::equals_ignore_case(n, name)) return v;
    }
    return {};
  }
  bool contains(std::string_view name) const {
    for (const auto& [n, v] : fields_) {
      if (base::equals_ignore_case(n, name)) return true;
    }
    return false;
  }
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

/// Who asks, as the connection proved it (client certificate: CN and O). Empty name: nobody.
struct Identity {
  std::string name;
  std::vector<std::string> groups;
};

struct Request {
  std::string method = "GET";
  std::string target;  ///< path and query as sent: "/api/v1/pods?watch=true"
  Headers headers;
  std::string body;   ///< whole; the codec refuses what is over its limit
  Identity identity;  ///< set by the front, never from the wire's headers

  std::string_view path() const;  ///< the target up to '?', still percent-encoded
  /// Decoded query parameter, first of that name; nullopt where absent.
  std::optional<std::string> query(std::string_view name) const;
};

struct ResponseHead {
  int status = 200;
  Headers headers;
};

/// Where an answer goes. Exactly one head, then bytes, then end. After the peer left everything is
/// ignored and is_gone() is true. Used on the loop only.
class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  virtual void head(ResponseHead head) = 0;
  virtual void write(std::string_view bytes) = 0;
  virtual void end() = 0;
  /// Bytes accepted but not yet taken by the peer: a slow watcher is cut by its producer.
  virtual size_t backlog() const = 0;
  virtual bool is_gone() const = 0;
  /// Called once when the peer leaves before end(). Replaces an earlier one.
  virtual void on_gone(std::function<void()> gone) = 0;
  /// Instead of an answer: sends `head` (101, with Upgrade) and gives the connection, from the
  /// first byte after the request on, to whoever speaks that other protocol. This sink is then
  /// over. Null where the peer left, or this kind of exchange has no connection to give away.
  virtual std::unique_ptr<world::Connection> switch_protocols(const ResponseHead&) {
    return nullptr;
  }

  /// head, body and end in one.
  void respond(int status, std::string_view content_type, std::string_view body);
};

using ResponseSinkPtr = std::shared_ptr<ResponseSink>;
/// A server's logic: answers now or later, on the loop.
using Handler = std::function<void(Request, ResponseSinkPtr)>;

/// What a client is told about one exchange: head once, data, end last. After a failed end there is
/// no more. end's error: Unavailable (it did not reach the server), OutcomeUnknown (it may have).
struct ResponseEvents {
  std::function<void(const ResponseHead&)> on_head;
  std::function<void(std::string_view)> on_data;
  std::function<void(base::Status)> on_end;
  /// Where set, the request may ask for another protocol (a header Upgrade). A server that switches
  /// to it (101) is told of here, last, instead of by the others; the exchange may then go.
  std::function<void(const ResponseHead&, std::unique_ptr<world::Connection>)> on_switch = nullptr;
};

/// Whether the request asks to switch to `protocol` ("websocket"), by Connection and Upgrade.
bool asks_to_switch(const Request& request, std::string_view protocol);

/// An exchange under way; destroying it abandons it (no event comes after).
class Exchange {
 public:
  virtual ~Exchange() = default;
};

}  // namespace pelton::net
