// SPDX-License-Identifier: Apache-2.0
// GET pods/NAME/log: found out which kubelet has it, and passed through.
#include "api/object.h"
#include "apiserver/core.h"
#include "apiserver/pod_place.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
constexpr size_t kBacklogMax = 8 * 1024 * 1024;

/// The query of the kubelet's containerLogs, from those that the client sent.
std::string log_query(const Call& call) {
  std::string out;
  for (const char* name : {"follow", "previous", "sinceSeconds", "sinceTime", "timestamps",
                           "tailLines", "limitBytes"}) {
    const std::string& value = call.query.get(name);
    if (value.empty()) continue;
    out += out.empty() ? "?" : "&";
    out += std::string(name) + "=" + base::percent_encode(value);
  }
  return out;
}

/// Passes the kubelet's answer on.
class LogStream final : public Stream, public std::enable_shared_from_this<LogStream> {
 public:
  LogStream(CorePtr core, CallPtr call) : core_(std::move(core)), call_(std::move(call)) {}

  void start(const std::string& node, const world::Address& address, net::Request request) {
    number_ = core_->adopt(shared_from_this());
    const std::weak_ptr<LogStream> weak = weak_from_this();
    call_->sink->on_gone([weak] {
      if (const auto self = weak.lock()) self->finish();
    });
    net::ResponseEvents events;
    events.on_head = [weak](const net::ResponseHead& head) {
      if (const auto self = weak.lock()) self->on_head(head);
    };
    events.on_data = [weak](std::string_view bytes) {
      if (const auto self = weak.lock()) self->on_data(bytes);
    };
    events.on_end = [weak](Status status) {
      if (const auto self = weak.lock()) self->on_end(status);
    };
    exchange_ = core_->options.kubelets->send(node, address, std::move(request), std::move(events));
  }

  void shut() override { on_end(base::unavailable("the API server stops")); }

 private:
  void on_head(const net::ResponseHead& head) {
    if (is_done_) return;
    kubelet_status_ = head.status;
    if (head.status == 200) start_stream(*call_, "text/plain");
  }

  void on_data(std::string_view bytes) {
    if (is_done_) return;
    if (kubelet_status_ != 200) {
      if (error_body_.size() < 4096) error_body_.append(bytes);
      return;
    }
    call_->sink->write(bytes);
    // A reader that does not read is cut: the log is on the node's disk and can be read again.
    if (call_->sink->backlog() > kBacklogMax) on_end(base::ok());
  }

  void on_end(const Status& status) {
    if (is_done_) return;
    if (kubelet_status_ == 200) {
      call_->sink->end();
    } else if (!status.ok()) {
      answer_failure(*call_, base::unavailable("the kubelet of the pod's node did not answer: " +
                                               status.message() + "; is the node Ready?"));
    } else {
      std::string why(base::trim(error_body_));
      const bool is_caller = kubelet_status_ >= 400 && kubelet_status_ < 500;
      answer_failure(*call_, is_caller ? bad_request(std::move(why))
                                       : Status(base::Code::Internal, "InternalError", why));
    }
    finish();
  }

  void finish() {
    if (std::exchange(is_done_, true)) return;
    core_->release(number_);
  }

  CorePtr core_;
  CallPtr call_;
  std::unique_ptr<net::Exchange> exchange_;
  uint64_t number_ = 0;
  int kubelet_status_ = 0;
  std::string error_body_;  ///< of an answer that is not 200
  bool is_done_ = false;
};
}  // namespace

void handle_pod_log(const CorePtr& core, const CallPtr& call) {
  Result<Stored> pod = core->objects.get(*call->resource, call->path.ns, call->path.name);
  if (!pod.ok()) return answer_failure(*call, pod.error());
  Result<std::string> container = choose_container(*call, *pod->object);
  if (!container.ok()) return answer_failure(*call, container.error());
  const std::string& node = (*pod->object)["spec"]["nodeName"].as_string();
  if (node.empty()) {  // as upstream: a pod that is nowhere has an empty log
    start_stream(*call, "text/plain");
    return call->sink->end();
  }
  if (core->options.kubelets == nullptr) {
    return answer_failure(*call, base::unavailable("this API server reaches no kubelets"));
  }
  Result<world::Address> address = kubelet_address(core, node);
  if (!address.ok()) return answer_failure(*call, address.error());

  net::Request request;
  request.target = "/containerLogs/" + base::percent_encode(call->path.ns) + "/" +
                   base::percent_encode(call->path.name) + "/" + base::percent_encode(*container) +
                   log_query(*call);
  std::make_shared<LogStream>(core, call)->start(node, *address, std::move(request));
}

}  // namespace pelton::apiserver
