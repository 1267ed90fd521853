// SPDX-License-Identifier: Apache-2.0
// For tests: an API server over a real store on the simulated world, and a client without a wire.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "apiserver/api_server.h"
#include "sim/sim_world.h"
#include "store/store.h"

namespace pelton::apiserver {

/// Takes an answer as a client would, and lets the test be slow or leave.
class RecordingSink final : public net::ResponseSink {
 public:
  void head(net::ResponseHead head) override {
    EXPECT_FALSE(has_head) << "two heads";
    has_head = true;
    answer = std::move(head);
  }
  void write(std::string_view bytes) override {
    EXPECT_TRUE(has_head) << "bytes before the head";
    EXPECT_FALSE(has_ended) << "bytes after the end";
    if (!is_left) body.append(bytes);
  }
  void end() override {
    EXPECT_FALSE(has_ended) << "two ends";
    has_ended = true;
  }
  size_t backlog() const override { return untaken; }
  bool is_gone() const override { return is_left; }
  void on_gone(std::function<void()> gone) override { gone_ = std::move(gone); }

  /// The client closes its connection.
  void leave() {
    is_left = true;
    if (gone_) gone_();
  }
  base::Json json() const {
    base::Result<base::Json> value = base::Json::parse(body);
    EXPECT_TRUE(value.ok()) << body;
    return value.ok() ? *value : base::Json();
  }
  /// The events of a watch so far.
  std::vector<base::Json> events() const {
    std::vector<base::Json> out;
    for (std::string_view line : base::split(body, '\n')) {
      if (line.empty()) continue;
      base::Result<base::Json> value = base::Json::parse(line);
      EXPECT_TRUE(value.ok()) << line;
      if (value.ok()) out.push_back(std::move(*value));
    }
    return out;
  }
  /// "ADDED a, MODIFIED a, BOOKMARK": the events in short.
  std::string story() const {
    std::vector<std::string> words;
    for (const base::Json& event : events()) {
      const std::string& name = event["object"]["metadata"]["name"].as_string();
      words.push_back(event["type"].as_string() + (name.empty() ? "" : " " + name));
    }
    return base::join(words, ", ");
  }

  net::ResponseHead answer;
  std::string body;
  size_t untaken = 0;
  bool has_head = false, has_ended = false, is_left = false;

 private:
  std::function<void()> gone_;
};
using RecordingSinkPtr = std::shared_ptr<RecordingSink>;

inline const net::Identity kAdmin{"admin", {"system:masters"}};
inline net::Identity node_identity(const std::string& node) {
  return {"system:node:" + node, {"system:nodes"}};
}

class TestServer {
 public:
  explicit TestServer(uint64_t seed = 1, ApiServerOptions options = {},
                      store::Options store_options = {})
      : sim_(seed), options_(std::move(options)), store_options_(std::move(store_options)) {
    start();
  }
  ~TestServer() {
    server_.reset();
    store_.reset();
  }

  /// Ends server and store as they are and begins anew on the same directory.
  void restart() {
    server_.reset();
    store_.reset();
    start();
  }

  /// Sends and returns at once: for watches and for requests that race.
  RecordingSinkPtr send(const std::string& method, const std::string& target,
                        const std::string& body = "", const net::Identity& who = kAdmin,
                        net::Headers headers = {}) {
    net::Request request;
    request.method = method;
    request.target = target;
    request.body = body;
    request.identity = who;
    request.headers = std::move(headers);
    auto sink = std::make_shared<RecordingSink>();
    handler_(std::move(request), sink);
    return sink;
  }
  /// Sends and waits for the end of the answer.
  RecordingSinkPtr call(const std::string& method, const std::string& target,
                        const base::Json& body = {}, const net::Identity& who = kAdmin,
                        net::Headers headers = {}) {
    auto sink = send(method, target, body.is_null() ? "" : body.dump(), who, std::move(headers));
    EXPECT_TRUE(sim_.run_until([&] { return sink->has_ended; }, base::Duration::seconds(60)))
        << method << " " << target << " is not answered";
    return sink;
  }
  /// Merge patch.
  RecordingSinkPtr patch(const std::string& target, const std::string& body,
                         const net::Identity& who = kAdmin,
                         const std::string& type = "application/merge-patch+json") {
    auto sink = send("PATCH", target, body, who, {{"Content-Type", type}});
    EXPECT_TRUE(sim_.run_until([&] { return sink->has_ended; }, base::Duration::seconds(60)));
    return sink;
  }
  /// Creates from JSON text; the answer must be 201. Returns the object.
  base::Json create(const std::string& collection, const std::string& text) {
    auto sink = call("POST", collection, base::Json::parse(text).value());
    EXPECT_EQ(sink->answer.status, 201) << sink->body;
    return sink->json();
  }
  void run(base::Duration span) { sim_.run_for(span); }
  sim::SimWorld& sim() { return sim_; }
  ApiServer& server() { return *server_; }
  store::Store& store() { return *store_; }

 private:
  void start() {
    world::World& world = sim_.world();
    base::Status opened = base::unavailable("not opened");
    store::Store::open(world.files, world.timers, world.log, "/store", store_options_,
                       [&](base::Result<std::unique_ptr<store::Store>> result) {
                         opened = result.status();
                         if (result.ok()) store_ = std::move(*result);
                       });
    EXPECT_TRUE(sim_.run_until([&] { return store_ != nullptr; }, base::Duration::seconds(60)))
        << opened.to_string();
    server_ = std::make_unique<ApiServer>(world.clock, world.timers, world.random, world.log,
                                          *store_, api::Registry::builtin(), options_);
    handler_ = server_->handler();
    bool is_ready = false;
    server_->start([&](base::Status status) {
      EXPECT_TRUE(status.ok()) << status.to_string();
      is_ready = true;
    });
    EXPECT_TRUE(sim_.run_until([&] { return is_ready; }, base::Duration::seconds(60)));
  }

  sim::SimWorld sim_;
  ApiServerOptions options_;
  store::Options store_options_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<ApiServer> server_;
  net::Handler handler_;
};

// Objects that tests make.
inline std::string pod_text(const std::string& name, const std::string& more = "") {
  return R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":")" + name + R"(")" + more +
         R"(},"spec":{"containers":[{"name":"c","image":"busybox"}]}})";
}
inline std::string config_text(const std::string& name, const std::string& labels = "{}",
                               const std::string& value = "1") {
  return R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":")" + name + R"(","labels":)" +
         labels + R"(},"data":{"x":")" + value + R"("}})";
}
inline std::string node_text(const std::string& name) {
  return R"({"kind":"Node","apiVersion":"v1","metadata":{"name":")" + name + R"("}})";
}
inline constexpr const char* kPods = "/api/v1/namespaces/default/pods";
inline constexpr const char* kConfigs = "/api/v1/namespaces/default/configmaps";

}  // namespace pelton::apiserver
