// SPDX-License-Identifier: Apache-2.0
// For tests of the agent: as much of a Kubernetes API as an agent speaks, in memory.
#pragma once
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "net/http.h"

namespace pelton::agent {

/// Objects by path ("/api/v1/namespaces/default/pods/a"), with list, watch, merge patches and the
/// graceful deletion of pods. Selectors are ignored.
class FakeApi {
 public:
  net::Handler handler() {
    return [this](net::Request request, net::ResponseSinkPtr sink) { handle(request, sink); };
  }

  /// Adds or replaces, as somebody else than the agent would.
  void put(const std::string& path, base::Json object) {
    const bool is_new = !objects_.contains(path);
    base::Json& metadata = object.child("metadata");
    metadata.set("resourceVersion", std::to_string(++revision_));
    objects_[path] = object;
    tell(path, is_new ? "ADDED" : "MODIFIED", object);
  }
  void erase(const std::string& path) {
    const auto it = objects_.find(path);
    if (it == objects_.end()) return;
    base::Json& last = erased_[path] = std::move(it->second);
    objects_.erase(it);
    last.child("metadata").set("resourceVersion", std::to_string(++revision_));
    tell(path, "DELETED", last);
  }
  /// As `kubectl delete`.
  void remove_gracefully(const std::string& path, int64_t grace) {
    base::Json object = objects_.at(path);
    object.child("metadata").set("deletionTimestamp", "2026-01-01T00:00:00Z");
    object.child("metadata").set("deletionGracePeriodSeconds", grace);
    put(path, std::move(object));
  }
  const base::Json& get(const std::string& path) const {
    static const base::Json nothing;
    const auto it = objects_.find(path);
    return it == objects_.end() ? nothing : it->second;
  }
  /// The last version of an object that was erased; null where none was. Who looks from time to
  /// time with get() may miss it.
  const base::Json& erased(const std::string& path) const {
    static const base::Json nothing;
    const auto it = erased_.find(path);
    return it == erased_.end() ? nothing : it->second;
  }
  std::vector<base::Json> list(const std::string& prefix) const {
    std::vector<base::Json> out;
    for (const auto& [path, object] : objects_) {
      if (path.starts_with(prefix)) out.push_back(object);
    }
    return out;
  }
  bool is_down = false;  ///< answers 503 to everything

 private:
  struct Watcher {
    std::string plural;
    net::ResponseSinkPtr sink;
  };

  static std::string plural_of(const std::string& path) {
    const auto parts = base::split(path, '/');
    return std::string(parts[parts.size() - 2]);
  }
  void tell(const std::string& path, const char* type, const base::Json& object) {
    const std::string line = base::Json::object({{"type", type}, {"object", object}}).dump() + "\n";
    for (const Watcher& watcher : watchers_) {
      if (watcher.plural == plural_of(path) && !watcher.sink->is_gone()) watcher.sink->write(line);
    }
  }
  static void merge(base::Json& into, const base::Json& patch) {
    if (!into.is_object()) into = base::Json::object();
    for (const auto& [name, value] : patch.members()) {
      if (value.is_null()) {
        into.erase(name);
      } else if (value.is_object()) {
        merge(into.child(name), value);
      } else {
        into.set(name, value);
      }
    }
  }
  static void answer(const net::ResponseSinkPtr& sink, int status, const base::Json& body) {
    sink->respond(status, "application/json", body.dump());
  }
  static void fail(const net::ResponseSinkPtr& sink, int status, const char* reason) {
    answer(sink, status,
           base::Json::object({{"kind", "Status"},
                               {"apiVersion", "v1"},
                               {"status", "Failure"},
                               {"reason", reason},
                               {"message", reason},
                               {"code", status}}));
  }

  void handle(const net::Request& request, const net::ResponseSinkPtr& sink) {
    if (is_down) return fail(sink, 503, "ServiceUnavailable");
    std::string path(request.path());
    if (path.ends_with("/status")) path.resize(path.size() - 7);
    if (request.method == "GET" && request.query("watch")) {
      sink->head({.status = 200, .headers = {{"Content-Type", "application/json"}}});
      watchers_.push_back({path.substr(path.rfind('/') + 1), sink});
      return;
    }
    if (request.method == "POST") {
      base::Json object = *base::Json::parse(request.body);
      path += "/" + object.at("metadata.name").as_string();
      if (objects_.contains(path)) return fail(sink, 409, "AlreadyExists");
      put(path, std::move(object));
      return answer(sink, 201, get(path));
    }
    const std::string last = path.substr(path.rfind('/') + 1);
    const bool is_collection = last == "pods" || last == "nodes" || last == "services" ||
                               last == "endpointslices" || last == "configmaps" ||
                               last == "secrets" || last == "recoverypolicies";
    if (request.method == "GET" && is_collection) {
      base::Json items = base::Json::array();
      for (const auto& [name, object] : objects_) {
        if (plural_of(name) == last) items.push_back(object);
      }
      return answer(
          sink, 200,
          base::Json::object(
              {{"kind", "List"},
               {"apiVersion", "v1"},
               {"metadata", base::Json::object({{"resourceVersion", std::to_string(revision_)}})},
               {"items", std::move(items)}}));
    }
    if (!objects_.contains(path)) return fail(sink, 404, "NotFound");
    if (request.method == "PATCH") {
      base::Json object = get(path);
      merge(object, *base::Json::parse(request.body));
      put(path, std::move(object));
    } else if (request.method == "DELETE") {
      erase(path);
      return answer(sink, 200, base::Json::object({{"kind", "Status"}, {"status", "Success"}}));
    }
    answer(sink, 200, get(path));
  }

  std::map<std::string, base::Json> objects_, erased_;
  std::vector<Watcher> watchers_;
  uint64_t revision_ = 1;
};

}  // namespace pelton::agent
