// SPDX-License-Identifier: Apache-2.0
#include "net/client_connection.h"

#include <utility>

namespace pelton::net {

base::Status Call::failure(const base::Status& cause) const {
  const bool keeps_code =
      cause.code() == base::Code::Unauthenticated || cause.code() == base::Code::InvalidArgument;
  const base::Code code = keeps_code               ? cause.code()
                          : was_sent && !is_safe() ? base::Code::OutcomeUnknown
                                                   : base::Code::Unavailable;
  const std::string line = bytes.substr(0, bytes.find("\r\n"));
  const std::string what = line.empty() ? method : line.substr(0, line.rfind(' '));
  return {code, what + " at " + endpoint.address.to_string() + ": " + cause.message()};
}

void Call::end(base::Status status) {
  if (is_over) return;
  is_over = true;
  head_timer.cancel();
  // The callbacks may hold what holds this call: let go of them.
  const auto told = std::exchange(events, {});
  if (told.on_end) told.on_end(std::move(status));
}

void ClientConnection::start(std::unique_ptr<world::Connection> connection,
                             base::Duration handshake_timeout) {
  std::unique_ptr<TlsSession> tls;
  if (endpoint_.tls) {
    tls = TlsSession::connect(endpoint_.tls, endpoint_.server_name.empty() ? endpoint_.address.host
                                                                           : endpoint_.server_name);
    timer_.start(handshake_timeout,
                 [this] { fail(base::unavailable("the TLS handshake took too long")); });
  }
  const std::weak_ptr<ClientConnection> weak = weak_from_this();
  channel_ = Channel::make(timers_, std::move(connection), std::move(tls),
                           {.on_open =
                                [weak] {
                                  const auto self = weak.lock();
                                  if (!self) return;
                                  self->timer_.cancel();
                                  if (self->call_) self->send_call();
                                },
                            .on_data =
                                [weak](std::string_view bytes) {
                                  if (const auto self = weak.lock()) self->on_data(bytes);
                                },
                            .on_end =
                                [weak](base::Status status) {
                                  if (const auto self = weak.lock())
                                    self->on_end(std::move(status));
                                },
                            .on_drained =
                                [weak] {
                                  const auto self = weak.lock();
                                  if (self && self->switched_) self->switched_->on_drained();
                                }});
}

void ClientConnection::carry(CallPtr call) {
  timer_.cancel();
  call_ = std::move(call);
  call_->connection = weak_from_this();
  if (channel_->is_open()) {
    send_call();
  } else {
    timer_.start(base::Duration::seconds(30),
                 [this] { fail(base::unavailable("the TLS handshake took too long")); });
  }
}

void ClientConnection::rest(base::Duration idle_timeout) {
  timer_.start(idle_timeout, [this] { fail(base::ok()); });
}

void ClientConnection::send_call() {
  reader_.expect(call_->method, call_->events.on_switch != nullptr);
  call_->was_sent = true;
  channel_->send(call_->bytes);
}

void ClientConnection::on_data(std::string_view bytes) {
  const auto self = shared_from_this();
  if (switched_) return switched_->on_data(bytes);
  if (!call_) return fail(base::unavailable("the server sent what nobody asked for"));
  reader_.feed(bytes);
  while (!is_closed_ && call_) {
    ResponseReader::Event event = reader_.next();
    if (std::holds_alternative<std::monostate>(event)) break;
    if (!deliver(std::move(event))) return;
  }
  if (!is_closed_ && reader_.error()) fail(base::unavailable(reader_.error()->message));
}

bool ClientConnection::deliver(ResponseReader::Event event) {
  const CallPtr call = call_;
  if (auto* head = std::get_if<ResponseHead>(&event)) {
    call->head_timer.cancel();
    if (head->status == 101) {
      give_away(*head);
      return false;
    }
    if (call->events.on_head) call->events.on_head(*head);
  } else if (auto* data = std::get_if<ResponseReader::Data>(&event)) {
    if (call->events.on_data) call->events.on_data(data->bytes);
  } else {
    complete();
    return false;
  }
  return !is_closed_;
}

void ClientConnection::complete() {
  const CallPtr call = std::exchange(call_, nullptr);
  const bool is_reusable = reader_.keeps_alive() && reader_.is_clean();
  was_used_ = true;
  // First free, then told: what the caller sends next may go over this connection.
  if (is_reusable) {
    events_.on_free(shared_from_this());
  } else {
    fail(base::ok());
  }
  call->end(base::ok());
}

/// The place in the pool stays taken until whoever gets the connection lets go of it.
void ClientConnection::give_away(const ResponseHead& head) {
  const CallPtr call = std::exchange(call_, nullptr);
  switched_ =
      std::make_shared<SwitchedStream>(channel_, reader_.take_rest(), [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->fail(base::ok());
      });
  call->is_over = true;
  const auto told = std::exchange(call->events, {});
  told.on_switch(head, SwitchedStream::as_connection(switched_));
}

void ClientConnection::on_end(base::Status status) {
  const auto self = shared_from_this();
  if (switched_) {
    const auto switched = switched_;
    return switched->on_end(std::move(status));
  }
  if (call_ && status.ok()) {
    const auto event = reader_.finish();
    if (std::holds_alternative<ResponseReader::End>(event)) return complete();
    status = base::unavailable(reader_.error() ? reader_.error()->message
                                               : "the server closed the connection");
  }
  fail(std::move(status));
}

void ClientConnection::fail(base::Status status) {
  if (is_closed_) return;
  const auto self = shared_from_this();
  close();
  CallPtr call = std::exchange(call_, nullptr);
  if (call && call->is_over) call = nullptr;
  if (events_.on_closed) events_.on_closed(self, std::move(call), std::move(status));
}

void ClientConnection::close() {
  is_closed_ = true;
  timer_.cancel();
  if (channel_) channel_->close();
}

}  // namespace pelton::net
