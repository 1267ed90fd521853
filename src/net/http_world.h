// SPDX-License-Identifier: Apache-2.0
// For tests: the same HTTP over the real and the simulated world, with TLS and without.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/http_client.h"
#include "net/http_server.h"
#include "net/test_pki.h"
#include "os/os_world.h"
#include "sim/sim_world.h"

namespace pelton::net {

struct HttpWorldKind {
  bool is_simulated = false;
  bool has_tls = false;
};

/// What a caller was told about one exchange.
struct Told {
  std::optional<ResponseHead> head;
  std::string body;
  std::optional<base::Status> end;
  std::unique_ptr<Exchange> exchange;
};

class HttpWorldTest : public ::testing::TestWithParam<HttpWorldKind> {
 protected:
  HttpWorldTest() {
    if (GetParam().is_simulated) {
      sim_ = std::make_unique<sim::SimWorld>(7);
    } else {
      os_ = os::make_world({.log_level = base::Severity::Error}).value();
    }
  }
  ~HttpWorldTest() override {
    client_.reset();
    server_.reset();
  }

  world::World& world() { return sim_ ? sim_->world() : os_->world(); }
  const TestPki& pki() {
    static std::unique_ptr<os::OsWorld> clock = os::make_world().value();
    return TestPki::get(clock->world().clock.now());
  }

  void serve(Handler handler, HttpServerOptions options = {}) {
    server_ = std::make_unique<HttpServer>(world().network, world().timers,
                                           GetParam().has_tls ? pki().server_context() : nullptr,
                                           std::move(handler), options);
    address_ = server_->listen({"127.0.0.1", 0}).value();
    make_client();
  }
  void make_client(HttpClientOptions options = {}) {
    client_ = std::make_unique<HttpClient>(world().network, world().timers, options);
    tls_ = GetParam().has_tls ? pki().client_context() : nullptr;
  }
  Endpoint endpoint() { return {address_, tls_, GetParam().has_tls ? "localhost" : ""}; }
  std::shared_ptr<Told> send(Request request) {
    auto told = std::make_shared<Told>();
    Told* raw = told.get();
    told->exchange =
        client_->send(endpoint(), std::move(request),
                      {.on_head = [raw](const ResponseHead& head) { raw->head = head; },
                       .on_data = [raw](std::string_view bytes) { raw->body += bytes; },
                       .on_end = [raw](base::Status status) { raw->end = std::move(status); }});
    return told;
  }
  std::shared_ptr<Told> get(const std::string& target) { return send({.target = target}); }

  /// Runs until it holds; false after 20 s of the world's time.
  bool run_until(const std::function<bool()>& holds) {
    const auto limit = base::Duration::seconds(20);
    if (holds()) return true;
    if (sim_) return sim_->run_until(holds, limit);
    bool is_late = false;
    world::Timer watchdog(world().timers), poll(world().timers);
    watchdog.start(limit, [&] { is_late = true; });
    std::function<void()> look = [&] {
      if (holds() || is_late) return os_->stop();
      poll.start(base::Duration::microseconds(200), look);
    };
    poll.start(base::Duration(), look);
    os_->run();
    return !is_late;
  }
  /// Lets what is under way arrive.
  void settle() {
    bool is_over = false;
    world::Timer timer(world().timers);
    timer.start(base::Duration::milliseconds(20), [&] { is_over = true; });
    ASSERT_TRUE(run_until([&] { return is_over; }));
  }
  /// Runs until told, and expects success.
  void expect_ok(const std::shared_ptr<Told>& told) {
    ASSERT_TRUE(run_until([&] { return told->end.has_value(); }));
    EXPECT_TRUE(told->end->ok()) << told->end->to_string();
  }
  /// A bare connection, for peers that misbehave. What arrives is added to `received`.
  std::unique_ptr<world::Connection> dial(std::string& received, bool& has_ended) {
    std::unique_ptr<world::Connection> out;
    world().network.connect(address_, base::Duration::seconds(5),
                            [&](auto result) { out = std::move(result).value(); });
    EXPECT_TRUE(run_until([&] { return out != nullptr; }));
    out->start({.on_data = [&](std::string_view bytes) { received += bytes; },
                .on_end = [&](base::Status) { has_ended = true; },
                .on_drained = {}});
    return out;
  }

  std::unique_ptr<sim::SimWorld> sim_;
  std::unique_ptr<os::OsWorld> os_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<HttpClient> client_;
  TlsContextPtr tls_;
  world::Address address_;
};

inline auto all_worlds() {
  return ::testing::Values(HttpWorldKind{false, false}, HttpWorldKind{false, true},
                           HttpWorldKind{true, false}, HttpWorldKind{true, true});
}
inline std::string world_name(const ::testing::TestParamInfo<HttpWorldKind>& info) {
  return std::string(info.param.is_simulated ? "Simulated" : "Real") +
         (info.param.has_tls ? "Tls" : "Plain");
}

}  // namespace pelton::net
