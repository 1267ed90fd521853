// SPDX-License-Identifier: Apache-2.0
// For tests: just enough of a Kubernetes API to read and write objects, with faults on demand.
//
// Objects are kept by path; there is no validation, no patching but merge, no graceful deletion.
// What matters is what goes wrong: answers that get lost, watches that break, history that is gone.
#pragma once
#include <algorithm>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/strings.h"
#include "client/testing/fake_answers.h"
#include "net/http.h"

namespace pelton::client {

class FakeServer {
 public:
  using Json = base::Json;
  enum class Fault : uint8_t { None, Refuse, LoseRequest, LoseAnswer };

  /// Asked before every write; decides what becomes of it.
  std::function<Fault(const net::Request&)> on_write = [](const net::Request&) {
    return Fault::None;
  };
  bool has_gang_bindings = true;
  bool are_watches_silent = false;  ///< they deliver nothing while set; flush() does afterwards
  std::vector<std::string> log;     ///< "POST /api/v1/…" of every write
  int lists = 0, watches_begun = 0;
  uint64_t oldest_revision = 0;  ///< a watch from before it is Gone

  net::Handler handler() {
    return [this](net::Request request, net::ResponseSinkPtr sink) { handle(request, sink); };
  }
  const std::map<std::string, Json>& objects() const { return objects_; }
  const Json* find(const std::string& path) const {
    auto it = objects_.find(path);
    return it == objects_.end() ? nullptr : &it->second;
  }
  uint64_t revision() const { return revision_; }

  /// Writes as if by somebody else.
  void put(const std::string& path, Json object) {
    const bool is_new = !objects_.contains(path);
    Json& metadata = object.child("metadata");
    if (!metadata.contains("uid")) {
      metadata.set("uid", is_new ? Json("uid-" + std::to_string(++uids_))
                                 : objects_[path]["metadata"]["uid"]);
    }
    metadata.set("resourceVersion", std::to_string(++revision_));
    objects_[path] = object;
    record(path, is_new ? "ADDED" : "MODIFIED", std::move(object));
  }
  void erase(const std::string& path) {
    Json object = std::move(objects_.at(path));
    objects_.erase(path);
    object.child("metadata").set("resourceVersion", std::to_string(++revision_));
    record(path, "DELETED", std::move(object));
  }
  void break_watches() {
    for (auto& watch : std::exchange(watches_, {})) watch.sink.reset();
  }
  void end_watches() {
    for (auto& watch : std::exchange(watches_, {})) watch.sink->end();
  }
  void bookmark() {
    if (are_watches_silent) return;  // it would promise what was not delivered
    flush();
    for (auto& watch : watches_) {
      watch.sink->write(
          R"({"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":")" +
          std::to_string(revision_) + "\"}}}\n");
      watch.sent = std::max(watch.sent, revision_);
    }
  }
  void flush() {
    if (are_watches_silent) return;
    std::erase_if(watches_, [](const OpenWatch& w) { return w.sink->is_gone(); });
    for (auto& watch : watches_) send_since(watch);
  }
  /// Writes any line to every watch.
  void write_raw(const std::string& line) {
    for (auto& watch : watches_) watch.sink->write(line);
  }

 private:
  struct Change {
    uint64_t revision;
    std::string path, line;
  };
  struct OpenWatch {
    std::string prefix;
    uint64_t sent;
    net::ResponseSinkPtr sink;
  };

  void record(const std::string& path, const std::string& type, Json object) {
    history_.push_back(
        {revision_, path,
         Json::object({{"type", type}, {"object", std::move(object)}}).dump() + "\n"});
    flush();
  }

  void send_since(OpenWatch& watch) {
    for (const Change& change : history_) {
      if (change.revision <= watch.sent || !change.path.starts_with(watch.prefix)) continue;
      watch.sent = change.revision;
      watch.sink->write(change.line);
    }
  }

  void handle(const net::Request& request, const net::ResponseSinkPtr& sink) {
    const std::string path(request.path());
    if (request.method != "GET") return handle_write(request, path, sink);
    if (const Json* object = find(path)) return fake::answer(sink, *object);
    if (request.query("watch")) return handle_watch(request, path, sink);
    const std::string last = path.substr(path.rfind('/') + 1);
    if (last != "pods" && last != "jobs" && last != "configmaps" && last != "nodes" &&
        last != "jobsets" && last != "namespaces") {
      return fake::fail(sink, 404, "NotFound");
    }
    ++lists;
    list(request, path, sink);
  }

  void list(const net::Request& request, const std::string& path,
            const net::ResponseSinkPtr& sink) {
    Json::Array items;
    for (const auto& [key, object] : objects_) {
      if (key.starts_with(fake::prefix_of(path))) items.push_back(object);
    }
    // Pages: the token is the number of items before.
    const size_t from =
        static_cast<size_t>(base::parse_int(request.query("continue").value_or("0")).value());
    const size_t limit =
        static_cast<size_t>(base::parse_int(request.query("limit").value_or("1000000")).value());
    Json body = Json::object({{"kind", "List"}});
    Json page = Json::array();
    for (size_t i = from; i < std::min(items.size(), from + limit); ++i) {
      Json item = items[i];
      item.erase("kind");  // as real lists do
      page.push_back(std::move(item));
    }
    body.make("metadata.resourceVersion") = std::to_string(revision_);
    if (from + limit < items.size()) body.make("metadata.continue") = std::to_string(from + limit);
    body.set("items", std::move(page));
    fake::answer(sink, body);
  }

  void handle_watch(const net::Request& request, const std::string& path,
                    const net::ResponseSinkPtr& sink) {
    ++watches_begun;
    const auto from = static_cast<uint64_t>(
        base::parse_int(request.query("resourceVersion").value_or("0")).value());
    if (from < oldest_revision) return fake::fail(sink, 410, "Expired");
    sink->head({200, {{"Content-Type", "application/json"}}});
    watches_.push_back({fake::prefix_of(path), from, sink});
    if (!are_watches_silent) send_since(watches_.back());
  }

  void handle_write(const net::Request& request, const std::string& path,
                    const net::ResponseSinkPtr& sink) {
    const Fault fault = on_write(request);
    if (fault == Fault::Refuse) return fake::fail(sink, 503, "ServiceUnavailable");
    if (fault == Fault::LoseRequest) return;  // the sink dies, and the client hears of it
    log.push_back(request.method + " " + path);
    if (fault == Fault::LoseAnswer) return apply(request, path, std::make_shared<fake::Nowhere>());
    apply(request, path, sink);
  }

  void apply(const net::Request& request, const std::string& path,
             const net::ResponseSinkPtr& sink) {
    auto parsed = Json::parse(request.body);
    Json body = parsed.ok() ? std::move(*parsed) : Json();
    if (path.ends_with("/gangbindings")) return bind_gang(path, body, sink);
    if (path.ends_with("/binding")) {
      const std::string pod = path.substr(0, path.rfind('/'));
      if (const int code = bind(pod, body["target"]["name"].as_string())) {
        return fake::fail(sink, code, code == 404 ? "NotFound" : "Conflict");
      }
      return fake::answer(sink, Json::object({{"kind", "Status"}, {"status", "Success"}}));
    }
    if (request.method == "POST") {
      const std::string made = path + "/" + body["metadata"]["name"].as_string();
      if (find(made) != nullptr) return fake::fail(sink, 409, "AlreadyExists");
      put(made, std::move(body));
      return fake::answer(sink, *find(made));
    }
    const std::string object_path =
        path.ends_with("/status") ? path.substr(0, path.rfind('/')) : path;
    const Json* present = find(object_path);
    if (present == nullptr) return fake::fail(sink, 404, "NotFound");
    const bool is_delete = request.method == "DELETE";
    const Json& wanted = body[is_delete ? "preconditions" : "metadata"];
    for (const char* name : {"uid", "resourceVersion"}) {
      if (wanted.contains(name) && !(wanted[name] == (*present)["metadata"][name])) {
        return fake::fail(sink, 409, "Conflict");
      }
    }
    if (is_delete) {
      erase(object_path);
      return fake::answer(sink, Json::object({{"kind", "Status"}, {"status", "Success"}}));
    }
    Json next = request.method == "PATCH" ? fake::merged(*present, body) : std::move(body);
    put(object_path, std::move(next));
    fake::answer(sink, *find(object_path));
  }

  /// 0, or the HTTP status of the refusal.
  int bind(const std::string& pod, const std::string& node) {
    const Json* present = find(pod);
    if (present == nullptr) return 404;
    if (!(*present)["spec"]["nodeName"].as_string().empty()) return 409;
    Json bound = *present;
    bound.child("spec").set("nodeName", node);
    put(pod, std::move(bound));
    return 0;
  }

  void bind_gang(const std::string& path, const Json& body, const net::ResponseSinkPtr& sink) {
    if (!has_gang_bindings) return fake::fail(sink, 404, "NotFound");
    const std::string pods = "/api/v1" + path.substr(path.find("/namespaces/"));
    const std::string prefix = pods.substr(0, pods.rfind('/')) + "/pods/";
    for (const Json& b : body["spec"]["bindings"].items()) {
      const Json* pod = find(prefix + b["podName"].as_string());
      if (pod == nullptr || !(*pod)["spec"]["nodeName"].as_string().empty()) {
        return fake::fail(sink, 409, "Conflict");
      }
    }
    for (const Json& b : body["spec"]["bindings"].items()) {
      bind(prefix + b["podName"].as_string(), b["nodeName"].as_string());
    }
    fake::answer(sink, body);
  }

  std::map<std::string, Json> objects_;
  std::vector<Change> history_;
  std::list<OpenWatch> watches_;
  uint64_t revision_ = 100;
  int uids_ = 0;
};

}  // namespace pelton::client
