// SPDX-License-Identifier: Apache-2.0
// pods/NAME/exec, attach and portforward: checked here, then the kubelet speaks with
// the client.
//
// The client's request to switch protocols goes on to the kubelet, and so does everything after the
// kubelet's 101, unread: what is spoken there (agent/remote_command.h) is between the two.
#include "api/object.h"
#include "apiserver/core.h"
#include "apiserver/pod_place.h"
#include "net/splice.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
constexpr size_t kMaxErrorBody = 4096;

/// What is asked of the kubelet about a container; as upstream names it there.
Result<std::string> kubelet_query(const Call& call) {
  std::string query;
  const auto add = [&query](const std::string& name, const std::string& value) {
    query += (query.empty() ? "?" : "&") + name + "=" + base::percent_encode(value);
  };
  if (call.path.subresource == "exec") {
    const std::vector<std::string> command = call.query.all("command");
    if (command.empty()) {
      return bad_request("you must specify at least 1 command for the pod exec: ?command=…");
    }
    for (const std::string& word : command) add("command", word);
  }
  for (const auto& [ours, theirs] : {std::pair("stdin", "input"), std::pair("stdout", "output"),
                                     std::pair("stderr", "error"), std::pair("tty", "tty")}) {
    const std::optional<bool> value = call.query.boolean(ours);
    if (value.value_or(false)) add(theirs, "1");
  }
  return query;
}

/// The part of the client's request by which it asks to switch.
net::Headers switching_headers(const net::Request& request) {
  net::Headers headers;
  for (const auto& [name, value] : request.headers.fields()) {
    const std::string lower = base::to_lower(name);
    const bool is_wanted = lower == "upgrade" || lower.starts_with("sec-websocket-") ||
                           lower == "x-stream-protocol-version";
    // Extensions are between a client and whoever reads the frames; the kubelet has none.
    if (is_wanted && lower != "sec-websocket-extensions") headers.add(name, value);
  }
  return headers;
}

/// One client and its kubelet: until the kubelet has answered an exchange, then a splice.
class RemoteStream final : public Stream, public std::enable_shared_from_this<RemoteStream> {
 public:
  RemoteStream(CorePtr core, CallPtr call) : core_(std::move(core)), call_(std::move(call)) {}

  void start(const std::string& node, const world::Address& address, net::Request request) {
    number_ = core_->adopt(shared_from_this());
    const std::weak_ptr<RemoteStream> weak = weak_from_this();
    call_->sink->on_gone([weak] {
      if (const auto self = weak.lock()) self->finish();
    });
    net::ResponseEvents events;
    events.on_head = [weak](const net::ResponseHead& head) {
      if (const auto self = weak.lock()) self->kubelet_status_ = head.status;
    };
    events.on_data = [weak](std::string_view bytes) {
      const auto self = weak.lock();
      if (self && self->error_body_.size() < kMaxErrorBody) self->error_body_.append(bytes);
    };
    events.on_end = [weak](Status status) {
      if (const auto self = weak.lock()) self->on_refused(status);
    };
    events.on_switch = [weak](const net::ResponseHead& head,
                              std::unique_ptr<world::Connection> connection) {
      if (const auto self = weak.lock()) self->on_switched(head, std::move(connection));
    };
    exchange_ = core_->options.kubelets->send(node, address, std::move(request), std::move(events));
  }

  void shut() override {
    if (!splice_ && !is_done_) {
      answer_failure(*call_, base::unavailable("the API server stops"));
    }
    finish();
  }

 private:
  void on_switched(const net::ResponseHead& head, std::unique_ptr<world::Connection> kubelet) {
    if (is_done_) return;
    note_switched(*call_);
    std::unique_ptr<world::Connection> client = call_->sink->switch_protocols(head);
    if (!client) return finish();
    splice_ = std::make_unique<net::Splice>(core_->timers, std::move(client), std::move(kubelet),
                                            [this] { finish(); });
  }

  void on_refused(const Status& status) {
    if (is_done_) return;
    const std::string why(base::trim(error_body_));
    if (!status.ok() || kubelet_status_ == 0) {
      answer_failure(*call_, base::unavailable("the kubelet of the pod's node did not answer: " +
                                               status.message() + "; is the node Ready?"));
    } else if (kubelet_status_ == 404) {
      answer_failure(*call_, base::not_found(why));
    } else if (kubelet_status_ >= 400 && kubelet_status_ < 500) {
      answer_failure(*call_, bad_request(why));
    } else {
      answer_failure(*call_, Status(base::Code::Internal, "InternalError", why));
    }
    finish();
  }

  /// Once. Let go of soon, not now: this may be within an event of what it holds.
  void finish() {
    if (std::exchange(is_done_, true)) return;
    core_->release(number_);
  }

  CorePtr core_;
  CallPtr call_;
  std::unique_ptr<net::Exchange> exchange_;
  std::unique_ptr<net::Splice> splice_;
  uint64_t number_ = 0;
  int kubelet_status_ = 0;
  std::string error_body_;
  bool is_done_ = false;
};

/// The kubelet's path for what is asked of a pod, with its query.
Result<std::string> kubelet_target(const Call& call, const Json& pod) {
  const std::string place =
      "/" + base::percent_encode(call.path.ns) + "/" + base::percent_encode(call.path.name);
  const bool is_ports = call.path.subresource == "portforward";
  std::string container, query;
  if (!is_ports) {
    PELTON_ASSIGN(query, kubelet_query(call));
    PELTON_ASSIGN(container, choose_container(call, pod));
  }
  if (pod["spec"]["nodeName"].as_string().empty()) {
    return bad_request("pod " + call.path.name + " does not have a host assigned");
  }
  // Which port is meant is said inside, per connection.
  if (is_ports) return "/portForward" + place;
  const std::string& phase = pod["status"]["phase"].as_string();
  if (phase == "Succeeded" || phase == "Failed") {
    return bad_request("cannot " + call.path.subresource +
                       " into a container in a completed pod; current phase is " + phase);
  }
  return "/" + call.path.subresource + place + "/" + base::percent_encode(container) + query;
}

}  // namespace

void handle_pod_remote(const CorePtr& core, const CallPtr& call) {
  Result<Stored> pod = core->objects.get(*call->resource, call->path.ns, call->path.name);
  if (!pod.ok()) return answer_failure(*call, pod.error());
  Result<std::string> target = kubelet_target(*call, *pod->object);
  if (!target.ok()) return answer_failure(*call, target.error());
  const std::string& node = (*pod->object)["spec"]["nodeName"].as_string();
  if (core->options.kubelets == nullptr) {
    return answer_failure(*call, base::unavailable("this API server reaches no kubelets"));
  }
  Result<world::Address> address = kubelet_address(core, node);
  if (!address.ok()) return answer_failure(*call, address.error());

  net::Request request;
  request.method = call->request.method;
  request.headers = switching_headers(call->request);
  request.target = std::move(target).value();
  std::make_shared<RemoteStream>(core, call)->start(node, *address, std::move(request));
}

}  // namespace pelton::apiserver
