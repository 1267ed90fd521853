// SPDX-License-Identifier: Apache-2.0
#include "agent/handler.h"

#include "agent/enter_command.h"
#include "agent/valid_text.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

using base::Json;

constexpr size_t kMaxText = 10 * 1024;
constexpr int kSignalKill = 9;
constexpr const char* kUserAgent = "kube-probe/1.36";

}  // namespace

base::Result<uint16_t> resolve_port(const Json& container, const Json& port) {
  int64_t number = port.as_int();
  if (port.is_string()) {
    const auto parsed = base::parse_int(port.as_string());
    number = parsed.ok() ? *parsed : 0;
    for (const Json& candidate : container["ports"].items()) {
      if (candidate["name"].as_string() == port.as_string()) {
        number = candidate["containerPort"].as_int();
      }
    }
  }
  if (number < 1 || number > 65535) {
    return base::invalid_argument("couldn't resolve container port " + port.dump() +
                                  ": name one of the container's ports, or 1 to 65535");
  }
  return static_cast<uint16_t>(number);
}

base::Result<HttpGetPlan> plan_http_get(const HandlerTarget& target, const Json& http_get) {
  PELTON_ASSIGN(const uint16_t port, resolve_port(target.container, http_get["port"]));
  const std::string& host = http_get["host"].as_string();
  HttpGetPlan plan;
  plan.address = {host.empty() ? target.address : host, port, target.network_namespace};
  plan.is_tls = http_get["scheme"].as_string() == "HTTPS";
  std::string path = http_get["path"].as_string();
  if (!path.starts_with('/')) path = "/" + path;
  plan.request.target = path;
  const std::string authority = plan.address.to_string();
  plan.url = std::string(plan.is_tls ? "https" : "http") + "://" + authority + path;
  bool has_agent = false, has_accept = false, has_host = false;
  for (const Json& header : http_get["httpHeaders"].items()) {
    const std::string& name = header["name"].as_string();
    has_agent |= base::equals_ignore_case(name, "User-Agent");
    has_accept |= base::equals_ignore_case(name, "Accept");
    has_host |= base::equals_ignore_case(name, "Host");
    plan.request.headers.add(name, header["value"].as_string());
  }
  if (!has_host) plan.request.headers.add("Host", authority);
  if (!has_agent) plan.request.headers.add("User-Agent", kUserAgent);
  if (!has_accept) plan.request.headers.add("Accept", "*/*");
  plan.request.headers.add("Connection", "close");
  return plan;
}

std::string dial_text(const world::Address& address, const base::Status& failure) {
  // The cause comes last, as the system words it.
  const std::string& message = failure.message();
  const size_t colon = message.rfind(": ");
  const std::string cause = colon == std::string::npos ? message : message.substr(colon + 2);
  return "dial tcp " + address.to_string() + ": connect: " + base::to_lower(cause);
}

HandlerRun::HandlerRun(world::World world, HandlerTarget target, const Json& handler,
                       base::Duration timeout, std::function<void(HandlerResult)> done)
    : world_(world),
      target_(std::move(target)),
      timeout_(timeout),
      done_(std::move(done)),
      timer_(world.timers) {
  timer_.start(timeout, [this] { time_out(); });
  if (const Json* it = handler.find("exec")) {
    exec(*it);
  } else if (const Json* get = handler.find("httpGet")) {
    http_get(*get);
  } else if (const Json* socket = handler.find("tcpSocket")) {
    tcp_socket(*socket);
  } else if (const Json* sleep = handler.find("sleep")) {
    timeout_outcome_ = ProbeOutcome::Success;
    timer_.start(std::min(base::Duration::seconds((*sleep)["seconds"].as_int()), timeout),
                 [this] { time_out(); });
  } else {
    fail("this kind of handler is not offered here; use exec, httpGet or tcpSocket");
  }
}

HandlerRun::~HandlerRun() {
  kill();
}

void HandlerRun::kill() {
  if (!process_) return;
  process_->signal_group(kSignalKill).ignore("it has just ended by itself");
  process_.reset();
}

void HandlerRun::time_out() {
  kill();
  if (exit_) return maybe_finish_exec();
  exchange_.reset();
  finish(timeout_outcome_, timeout_text_);
}

/// Later, so that nobody is told from within his own call.
void HandlerRun::finish(ProbeOutcome outcome, std::string text) {
  if (std::exchange(is_over_, true)) return;
  timer_.cancel();
  if (text.size() > kMaxText) text.resize(kMaxText);
  text = valid_text(text);
  world_.timers.post([this, outcome, text = std::move(text), alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) std::exchange(done_, nullptr)({outcome, text});
  });
}

void HandlerRun::exec(const Json& exec) {
  std::vector<std::string> command;
  for (const Json& word : exec["command"].items()) command.push_back(word.as_string());
  timeout_text_ = "command timed out: \"" + base::join(command, " ") + "\" timed out after " +
                  base::format_age(timeout_);
  auto order = read_order(world_.files, target_.paths);
  const auto running = read_running(world_.files, target_.paths);
  if (!order.ok() || !running) {
    return finish(ProbeOutcome::Unknown, "the container is not running");
  }
  world::ProcessSpec spec = enter_command(*order, *running, command);
  spec.on_output = [this](std::string_view piece) {
    if (output_.size() < kMaxText) output_ += piece;
    has_output_ended_ = piece.empty();
    maybe_finish_exec();
  };
  spec.merge_stderr = true;
  auto process = world_.processes.spawn(std::move(spec), [this](world::ExitState state) {
    exit_ = state;
    maybe_finish_exec();
  });
  if (!process.ok()) {
    const auto why = explain_not_started(process.status(), command.empty() ? "" : command[0]);
    return finish(ProbeOutcome::Unknown, why ? why->text : process.status().message());
  }
  process_ = std::move(process).value();
}

/// What it has written is read to its end, as far as the time limit allows.
void HandlerRun::maybe_finish_exec() {
  if (!exit_ || (!has_output_ended_ && timer_.is_pending())) return;
  const int code = exit_->shell_code();
  if (code == 0) return finish(ProbeOutcome::Success, output_);
  fail(output_.empty() ? "command exited with " + std::to_string(code) : output_);
}

void HandlerRun::http_get(const Json& http_get) {
  auto plan = plan_http_get(target_, http_get);
  if (!plan.ok()) return fail(plan.status().message());
  const std::string get = "Get \"" + plan->url + "\": ";
  timeout_text_ =
      get + "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
  net::Endpoint endpoint{.address = plan->address, .tls = nullptr, .server_name = ""};
  if (plan->is_tls) {
    auto tls = net::TlsContext::client({.ca_pem = "", .is_any_trusted = true, .credential = {}});
    if (!tls.ok()) return finish(ProbeOutcome::Unknown, tls.status().message());
    endpoint.tls = std::move(tls).value();
  }
  http_ = std::make_unique<net::HttpClient>(world_.network, world_.timers);
  exchange_ = http_->send(
      endpoint, std::move(plan->request),
      {.on_head =
           [this](const net::ResponseHead& head) {
             http_status_ = head.status;
             const bool is_good = head.status >= 200 && head.status < 400;
             finish(is_good ? ProbeOutcome::Success : ProbeOutcome::Failure,
                    is_good ? ""
                            : "HTTP probe failed with statuscode: " + std::to_string(head.status));
           },
       .on_data = [](std::string_view) {},
       .on_end =
           [this, get, address = plan->address](const base::Status& status) {
             if (http_status_ != 0) return;
             fail(get + (status.message().starts_with("connecting to ") ? dial_text(address, status)
                                                                        : status.message()));
           }});
}

void HandlerRun::tcp_socket(const Json& tcp_socket) {
  const auto port = resolve_port(target_.container, tcp_socket["port"]);
  if (!port.ok()) return fail(port.status().message());
  const std::string& host = tcp_socket["host"].as_string();
  const world::Address address{host.empty() ? target_.address : host, *port,
                               target_.network_namespace};
  timeout_text_ = "dial tcp " + address.to_string() + ": i/o timeout";
  world_.network.connect(address, timeout_,
                         [this, address, alive = std::weak_ptr(alive_)](
                             base::Result<std::unique_ptr<world::Connection>> made) {
                           if (alive.expired()) return;
                           if (made.ok()) return finish(ProbeOutcome::Success, "");
                           fail(dial_text(address, made.status()));
                         });
}

}  // namespace pelton::agent
