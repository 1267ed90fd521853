// SPDX-License-Identifier: Apache-2.0
// For tests: an API server and an agent in a few lines, and views of it that lag.
//
// It keeps what matters to controllers: uids, resourceVersions as preconditions, finalizers,
// graceful deletion, status apart from the rest. Every write is an event of a history; a View
// replays a prefix of it per kind.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "api/object.h"
#include "base/json.h"
#include "decide/workload/decision.h"
#include "decide/workload/job/pods.h"

namespace pelton::decide::workload {

using ClusterKey = std::tuple<std::string, std::string, std::string>;  ///< kind, namespace, name
using Objects = std::map<ClusterKey, base::Json>;

class TestCluster {
 public:
  struct Event {
    ClusterKey key;
    std::optional<base::Json> after;
  };

  base::Instant now = base::Instant::from_unix_seconds(1'000'000);
  Objects objects;
  std::vector<Event> history;

  static ClusterKey key_of(const base::Json& object) {
    return {object["kind"].as_string(), api::namespace_of(object), api::name_of(object)};
  }

  base::Json* find(const ClusterKey& key) {
    auto found = objects.find(key);
    return found == objects.end() ? nullptr : &found->second;
  }
  base::Json* find(const std::string& kind, const std::string& name) {
    return find(ClusterKey{kind, "default", name});
  }

  /// Each returns whether it was done; false is AlreadyExists, NotFound or Conflict.
  bool create(base::Json object) {
    const ClusterKey key = key_of(object);
    if (objects.contains(key)) return false;
    base::Json& metadata = object.child("metadata");
    metadata.set("uid", "uid-" + std::to_string(++last_uid_));
    metadata.set("creationTimestamp", base::format_time(now));
    put(key, std::move(object));
    return true;
  }

  bool update(const base::Json& wanted, bool is_status) {
    base::Json* have = find(key_of(wanted));
    if (have == nullptr || api::uid_of(*have) != api::uid_of(wanted) ||
        api::resource_version_of(*have) != api::resource_version_of(wanted)) {
      return false;
    }
    base::Json next = is_status ? *have : wanted;
    next.set("status", is_status ? wanted["status"] : (*have)["status"]);
    put(key_of(wanted), std::move(next));
    return true;
  }

  bool remove(const ClusterKey& key, const std::string& uid, const std::string& propagation = "",
              std::optional<int64_t> grace = std::nullopt) {
    base::Json* have = find(key);
    if (have == nullptr || (!uid.empty() && api::uid_of(*have) != uid)) return false;
    base::Json next = *have;
    base::Json& metadata = next.child("metadata");
    if (!metadata.contains("deletionTimestamp")) {
      const bool is_running = std::get<0>(key) == "Pod" &&
                              !next["spec"]["nodeName"].as_string().empty() && !has_ended(next);
      const int64_t seconds = is_running ? grace.value_or(30) : 0;
      metadata.set("deletionGracePeriodSeconds", seconds);
      metadata.set("deletionTimestamp", base::format_time(now + base::Duration::seconds(seconds)));
      if (propagation == "Foreground") metadata.child("finalizers").push_back("foregroundDeletion");
    }
    if (grace == 0) metadata.set("deletionGracePeriodSeconds", 0);
    put(key, std::move(next));
    return true;
  }

  /// One action of a decision; a Note always succeeds.
  bool apply(const Action& action) {
    switch (action.verb) {
      case Action::Verb::Create:
        return create(action.object);
      case Action::Verb::Update:
      case Action::Verb::Finalize:
        return update(action.object, false);
      case Action::Verb::UpdateStatus:
        return update(action.object, true);
      case Action::Verb::Delete:
        return remove({action.target.gvk.kind, action.target.namespace_name, action.target.name},
                      action.target.uid, action.propagation, action.grace_seconds);
      case Action::Verb::Note:
        break;
    }
    return true;
  }

  // The agent's part.

  /// Binds and starts a pod.
  void run_pod(const ClusterKey& key) {
    base::Json next = objects.at(key);
    next.child("spec").set("nodeName", "node-0");
    next.child("status").set("phase", "Running");
    api::set_condition(next, {"Ready", "True", "", ""}, now);
    put(key, std::move(next));
  }
  /// Ends its container; a pod that is being deleted goes then, as far as its finalizers let it.
  void end_pod(const ClusterKey& key, int64_t exit_code) {
    base::Json next = objects.at(key);
    base::Json& status = next.child("status");
    status.set("phase", exit_code == 0 ? "Succeeded" : "Failed");
    status.set(
        "containerStatuses",
        base::Json::array({base::Json::object(
            {{"name", "main"},
             {"state", base::Json::object(
                           {{"terminated",
                             base::Json::object({{"exitCode", exit_code},
                                                 {"finishedAt", base::format_time(now)}})}})}})}));
    api::set_condition(next, {"Ready", "False", "PodFailed", ""}, now);
    if (api::is_being_deleted(next)) next.child("metadata").set("deletionGracePeriodSeconds", 0);
    put(key, std::move(next));
  }

  static bool has_ended(const base::Json& pod) {
    const std::string& phase = pod["status"]["phase"].as_string();
    return phase == "Succeeded" || phase == "Failed";
  }

 private:
  void put(const ClusterKey& key, base::Json object) {
    const bool is_free = object["metadata"]["finalizers"].empty() &&
                         object["metadata"]["deletionGracePeriodSeconds"].as_int() == 0;
    if (api::is_being_deleted(object) && is_free) {
      objects.erase(key);
      history.push_back({key, std::nullopt});
      return;
    }
    object.child("metadata").set("resourceVersion", std::to_string(history.size() + 1));
    history.push_back({key, object});
    objects[key] = std::move(object);
  }

  int last_uid_ = 0;
};

/// What a controller has seen: per kind a prefix of the history, never going back.
class TestView {
 public:
  explicit TestView(const TestCluster& cluster) : cluster_(cluster) {}

  /// Shows events of that kind up to `end` (exclusive) of the history.
  void advance(const std::string& kind, size_t end) {
    size_t& at = seen_[kind];
    for (; at < end; ++at) {
      const auto& event = cluster_.history[at];
      if (std::get<0>(event.key) != kind) continue;
      if (event.after) {
        objects_[event.key] = *event.after;
      } else {
        objects_.erase(event.key);
      }
    }
  }
  size_t seen(const std::string& kind) const {
    auto found = seen_.find(kind);
    return found == seen_.end() ? 0 : found->second;
  }
  const Objects& objects() const { return objects_; }
  const base::Json* find(const std::string& kind, const std::string& name) const {
    auto found = objects_.find({kind, "default", name});
    return found == objects_.end() ? nullptr : &found->second;
  }
  std::vector<const base::Json*> owned_by(const std::string& kind, const std::string& uid) const {
    std::vector<const base::Json*> out;
    for (const auto& [key, object] : objects_) {
      if (!kind.empty() && std::get<0>(key) != kind) continue;
      for (const base::Json& reference : object["metadata"]["ownerReferences"].items()) {
        if (reference["uid"].as_string() == uid) out.push_back(&object);
      }
    }
    return out;
  }

 private:
  const TestCluster& cluster_;
  std::map<std::string, size_t> seen_;
  Objects objects_;
};

}  // namespace pelton::decide::workload
