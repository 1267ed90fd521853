// SPDX-License-Identifier: Apache-2.0
// Reads the stream of a watch: one JSON text per line, {"type": …, "object": …}.
#include <optional>
#include <utility>

#include "base/strings.h"
#include "client/client.h"

namespace pelton::client {

using base::Code;
using base::Json;
using base::Status;

namespace {

/// How long after the agreed end of a watch the connection is taken to be dead.
constexpr base::Duration kSilenceAfterEnd = base::Duration::seconds(30);

std::optional<WatchEventType> event_type_of(std::string_view text) {
  if (text == "ADDED") return WatchEventType::Added;
  if (text == "MODIFIED") return WatchEventType::Modified;
  if (text == "DELETED") return WatchEventType::Deleted;
  if (text == "BOOKMARK") return WatchEventType::Bookmark;
  return std::nullopt;
}

class StreamWatch final : public Watch {
 public:
  StreamWatch(world::Timers& timers, WatchEvents events)
      : events_(std::move(events)), timeout_(timers) {}

  ~StreamWatch() override { *alive_ = false; }

  void start(Transport& transport, net::Request request, base::Duration timeout) {
    net::ResponseEvents events;
    events.on_head = [this](const net::ResponseHead& head) { http_status_ = head.status; };
    events.on_data = [this](std::string_view bytes) { receive(bytes); };
    events.on_end = [this](const Status& status) { on_stream_end(status); };
    exchange_ = transport.send(std::move(request), std::move(events));
    timeout_.start(timeout + kSilenceAfterEnd,
                   [this] { end(base::unavailable("the watch fell silent")); });
  }

  void fail(Status status) {
    timeout_.start(base::Duration(), [this, status = std::move(status)] { end(status); });
  }

 private:
  void receive(std::string_view bytes) {
    if (is_ended_) return;
    buffer_ += bytes;
    if (http_status_ != 200) return;
    size_t begin = 0;
    for (size_t newline; (newline = buffer_.find('\n', begin)) != std::string::npos;) {
      const std::string line = buffer_.substr(begin, newline - begin);
      begin = newline + 1;
      // Each event may destroy this watch.
      const std::shared_ptr<bool> alive = alive_;
      if (!base::trim(line).empty()) on_line(line);
      if (!*alive || is_ended_) return;
    }
    buffer_.erase(0, begin);
  }

  void on_line(std::string_view line) {
    auto event = Json::parse(line);
    if (!event.ok()) {
      return end(Status(Code::Gone, "a watch event cannot be read: " + event.error().message()));
    }
    const std::string type = (*event)["type"].as_string();
    if (type == "ERROR") return end(status_from_object((*event)["object"], false));
    const auto known = event_type_of(type);
    if (!known) return end(Status(Code::Gone, "a watch event has the unknown type " + type));
    events_.on_event(*known, std::move(event->child("object")));
  }

  void on_stream_end(const Status& status) {
    if (is_ended_) return;
    if (!status.ok()) return end(base::unavailable(status.message()));
    if (http_status_ != 200) return end(status_from_response(http_status_, buffer_, false));
    end(base::ok());
  }

  void end(Status status) {
    if (std::exchange(is_ended_, true)) return;
    timeout_.cancel();
    // on_end mostly destroys this watch, and with it the function that is running.
    auto on_end = std::move(events_.on_end);
    on_end(std::move(status));
  }

  WatchEvents events_;
  world::Timer timeout_;
  std::unique_ptr<net::Exchange> exchange_;
  std::string buffer_;
  int http_status_ = 0;
  bool is_ended_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<Watch> Client::watch(std::string_view kind, std::string_view namespace_name,
                                     const WatchOptions& options, WatchEvents events) {
  auto watch = std::make_unique<StreamWatch>(timers_, std::move(events));
  const api::ResourceInfo* resource = find_resource(kind);
  if (resource == nullptr) {
    watch->fail(
        base::invalid_argument("no resource is known for kind \"" + std::string(kind) + "\""));
    return watch;
  }
  net::Request request;
  request.headers.add("Accept", "application/json");
  request.target = path_of(*resource, namespace_name) + "?watch=true&allowWatchBookmarks=true" +
                   "&resourceVersion=" + std::to_string(options.from_revision) +
                   "&timeoutSeconds=" + std::to_string(options.timeout.ms() / 1000);
  for (const auto& [name, value] :
       {std::pair<std::string_view, const std::string&>("labelSelector", options.label_selector),
        {"fieldSelector", options.field_selector}}) {
    if (value.empty()) continue;
    request.target += "&" + std::string(name) + "=" + base::percent_encode(value);
  }
  watch->start(transport_, std::move(request), options.timeout);
  return watch;
}

}  // namespace pelton::client
