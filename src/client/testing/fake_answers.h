// SPDX-License-Identifier: Apache-2.0
// For tests: what a FakeServer answers with.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "net/http.h"

namespace pelton::client::fake {

using base::Json;

inline void fail(const net::ResponseSinkPtr& sink, int code, const std::string& reason) {
  sink->respond(code, "application/json",
                R"({"kind":"Status","status":"Failure","message":"fake )" + reason +
                    R"(","reason":")" + reason + R"(","code":)" + std::to_string(code) + "}");
}
inline void answer(const net::ResponseSinkPtr& sink, const Json& body) {
  sink->respond(200, "application/json", body.dump());
}

/// "/api/v1/pods" reads objects of every namespace; here all tests live in one.
inline std::string prefix_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (path.find("/namespaces/") != std::string::npos || path.ends_with("/nodes")) return path + "/";
  return path.substr(0, slash) + "/namespaces/default" + path.substr(slash) + "/";
}

inline Json merged(Json into, const Json& patch) {
  if (!patch.is_object() || !into.is_object()) return patch;
  for (const auto& [name, value] : patch.members()) into.set(name, merged(into[name], value));
  return into;
}

/// Swallows an answer.
struct Nowhere final : net::ResponseSink {
  void head(net::ResponseHead) override {}
  void write(std::string_view) override {}
  void end() override {}
  size_t backlog() const override { return 0; }
  bool is_gone() const override { return false; }
  void on_gone(std::function<void()>) override {}
};

}  // namespace pelton::client::fake
