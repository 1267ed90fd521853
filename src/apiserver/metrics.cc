// SPDX-License-Identifier: Apache-2.0
#include "apiserver/metrics.h"

#include <fmt/format.h>

#include "api/object.h"
#include "api/pod_resources.h"
#include "api/quantity.h"
#include "apiserver/pod_place.h"
#include "apiserver/selection.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
/// As a metrics server waits for one node.
constexpr base::Duration kScrapeTimeout = base::Duration::seconds(10);
constexpr size_t kSummaryMax = 16 * 1024 * 1024;

std::string metrics_api_version() {
  return std::string(kMetricsGroup) + "/" + std::string(kMetricsVersion);
}

bool is_about_nodes(const Call& call) {
  return call.path.resource == "nodes";
}

// ---- the objects --------------------------------------------------------------------------------

/// {cpu, memory}; nullopt where there is no rate yet.
std::optional<Json> usage_of(const Json& stats) {
  const Json& rate = stats["cpu"]["usageNanoCores"];
  if (!rate.is_int()) return std::nullopt;
  const auto cpu = api::Quantity::or_zero(std::to_string(rate.as_int()) + "n");
  const auto memory = api::Quantity::of_bytes(stats["memory"]["workingSetBytes"].as_int());
  return Json::object({{"cpu", cpu.to_string()}, {"memory", memory.to_string()}});
}

Json metrics_object(const char* kind, const Json& of, const Json& stats) {
  Json metadata =
      Json::object({{"name", api::name_of(of)}, {"creationTimestamp", stats["cpu"]["time"]}});
  if (!api::namespace_of(of).empty()) metadata.set("namespace", api::namespace_of(of));
  if (!of["metadata"]["labels"].empty()) metadata.set("labels", of["metadata"]["labels"]);
  const auto window = static_cast<double>(stats["cpu"]["windowNanoSeconds"].as_int()) / 1e9;
  return Json::object({{"kind", kind},
                       {"apiVersion", metrics_api_version()},
                       {"metadata", std::move(metadata)},
                       {"timestamp", stats["cpu"]["time"]},
                       {"window", fmt::format("{:.3f}s", window)}});
}

// ---- a request ----------------------------------------------------------------------------------

/// Asks the nodes, and answers when all have or the time is up.
class Gathering final : public Stream, public std::enable_shared_from_this<Gathering> {
 public:
  Gathering(CorePtr core, CallPtr call, std::vector<Stored> objects)
      : core_(std::move(core)),
        call_(std::move(call)),
        objects_(std::move(objects)),
        timer_(core_->timers) {}

  void start() {
    number_ = core_->adopt(shared_from_this());
    const std::weak_ptr<Gathering> weak = weak_from_this();
    call_->sink->on_gone([weak] {
      if (const auto self = weak.lock()) self->leave();
    });
    timer_.start(kScrapeTimeout, [this] { finish(); });
    for (const Stored& object : objects_) {
      const std::string& node = is_about_nodes(*call_)
                                    ? api::name_of(*object.object)
                                    : (*object.object)["spec"]["nodeName"].as_string();
      if (!node.empty()) nodes_.try_emplace(node);
    }
    open_ = nodes_.size();
    // A node that cannot be asked is as one that does not answer.
    for (auto& [name, node] : nodes_) {
      const Result<world::Address> address = kubelet_address(core_, name);
      if (!address.ok()) {
        --open_;
        continue;
      }
      node.exchange = core_->options.kubelets->send(
          name, *address, {.method = "GET", .target = "/stats/summary"}, events_of(name));
    }
    if (open_ == 0) finish();
  }

  void shut() override {
    if (std::exchange(is_done_, true)) return;
    answer_failure(*call_, base::unavailable("the API server stops"));
    core_->release(number_);
  }

 private:
  struct Node {
    std::unique_ptr<net::Exchange> exchange;
    std::string body;
    int status = 0;
    Json summary;
  };

  net::ResponseEvents events_of(const std::string& name) {
    const std::weak_ptr<Gathering> weak = weak_from_this();
    net::ResponseEvents events;
    events.on_head = [weak, name](const net::ResponseHead& head) {
      if (const auto self = weak.lock()) self->nodes_[name].status = head.status;
    };
    events.on_data = [weak, name](std::string_view bytes) {
      const auto self = weak.lock();
      if (self && self->nodes_[name].body.size() < kSummaryMax) self->nodes_[name].body += bytes;
    };
    events.on_end = [weak, name](const Status& status) {
      if (const auto self = weak.lock()) self->on_end(self->nodes_[name], status);
    };
    return events;
  }

  void on_end(Node& node, const Status& status) {
    if (status.ok() && node.status == 200) {
      Result<Json> summary = Json::parse(node.body);
      if (summary.ok()) node.summary = std::move(summary).value();
    }
    if (--open_ == 0) finish();
  }

  void finish() {
    if (std::exchange(is_done_, true)) return;
    answer();
    timer_.cancel();
    core_->release(number_);
  }

  void leave() {
    if (std::exchange(is_done_, true)) return;
    core_->release(number_);
  }

  void answer() {
    const bool is_nodes = is_about_nodes(*call_);
    Json items = Json::array();
    for (const Stored& stored : objects_) {
      const Json& object = *stored.object;
      const std::string& node =
          is_nodes ? api::name_of(object) : object["spec"]["nodeName"].as_string();
      const auto asked = nodes_.find(node);
      if (asked == nodes_.end()) continue;
      const Json& summary = asked->second.summary;
      auto metrics = is_nodes ? node_metrics(object, summary) : pod_metrics(object, summary);
      if (metrics) items.push_back(std::move(*metrics));
    }
    if (call_->path.name.empty()) {
      return answer_json(*call_, 200,
                         Json::object({{"kind", is_nodes ? "NodeMetricsList" : "PodMetricsList"},
                                       {"apiVersion", metrics_api_version()},
                                       {"metadata", Json::object()},
                                       {"items", std::move(items)}}));
    }
    if (!items.empty()) return answer_json(*call_, 200, items[0]);
    StatusSubject subject = call_->subject;
    subject.resource = is_nodes ? "nodemetrics" : "podmetrics";
    subject.name = is_nodes ? call_->path.name : call_->path.ns + "/" + call_->path.name;
    answer_failure(*call_, object_not_found(subject));
  }

  CorePtr core_;
  CallPtr call_;
  std::vector<Stored> objects_;
  std::map<std::string, Node> nodes_;
  size_t open_ = 0;
  world::Timer timer_;
  uint64_t number_ = 0;
  bool is_done_ = false;
};

/// The Nodes or Pods that the request is about.
Result<std::vector<Stored>> find_objects(const CorePtr& core, Call& call) {
  std::vector<Stored> found;
  const api::ResourceInfo& kind = *call.resource;
  if (!call.path.name.empty()) {
    // One that does not exist has no metrics either, and is told so in the metrics' words.
    Result<Stored> one = core->objects.get(kind, call.path.ns, call.path.name);
    if (one.ok()) found.push_back(std::move(one).value());
    return found;
  }
  PELTON_ASSIGN(const Selection selection, read_selection(call));
  core->objects.for_each(kind, call.path.ns, [&](const Stored& stored) {
    if (is_about_nodes(call) || !api::has_ended(*stored.object)) {
      if (selection.matches(*stored.object)) found.push_back(stored);
    }
  });
  return found;
}

Json discovery_resource(std::string_view name, std::string_view kind, bool is_namespaced) {
  return Json::object({{"name", name},
                       {"singularName", ""},
                       {"namespaced", is_namespaced},
                       {"kind", kind},
                       {"verbs", Json::array({"get", "list"})}});
}

Json aggregated_resource(std::string_view name, std::string_view kind, bool is_namespaced) {
  return Json::object(
      {{"resource", name},
       {"responseKind",
        Json::object({{"group", kMetricsGroup}, {"version", kMetricsVersion}, {"kind", kind}})},
       {"scope", is_namespaced ? "Namespaced" : "Cluster"},
       {"singularResource", ""},
       {"verbs", Json::array({"get", "list"})}});
}

Json group_document() {
  const Json version =
      Json::object({{"groupVersion", metrics_api_version()}, {"version", kMetricsVersion}});
  return Json::object({{"name", kMetricsGroup},
                       {"versions", Json::array({version})},
                       {"preferredVersion", version}});
}
}  // namespace

std::optional<Json> node_metrics(const Json& node, const Json& summary) {
  const Json& stats = summary["node"];
  auto usage = usage_of(stats);
  if (!usage) return std::nullopt;
  Json out = metrics_object("NodeMetrics", node, stats);
  out.set("usage", std::move(*usage));
  return out;
}

std::optional<Json> pod_metrics(const Json& pod, const Json& summary) {
  for (const Json& stats : summary["pods"].items()) {
    // By uid: a pod of the same name may have gone before.
    if (stats["podRef"]["uid"].as_string() != api::uid_of(pod)) continue;
    Json containers = Json::array();
    for (const Json& container : stats["containers"].items()) {
      auto usage = usage_of(container);
      if (!usage) continue;
      containers.push_back(
          Json::object({{"name", container["name"]}, {"usage", std::move(*usage)}}));
    }
    if (containers.empty()) return std::nullopt;
    Json out = metrics_object("PodMetrics", pod, stats);
    out.set("containers", std::move(containers));
    return out;
  }
  return std::nullopt;
}

void handle_metrics(const CorePtr& core, const CallPtr& call) {
  const RequestPath& path = call->path;
  const bool is_known = core->options.kubelets != nullptr && path.version == kMetricsVersion &&
                        (path.resource == "nodes" || path.resource == "pods") &&
                        path.subresource.empty() && (path.resource == "pods" || path.ns.empty());
  if (!is_known) return answer_failure(*call, no_such_path());
  if (call->access.verb != "get" && call->access.verb != "list") {
    return answer_failure(*call, method_not_allowed(call->request.method + " " + path.path));
  }
  if (path.resource == "pods" && path.ns.empty() && !path.name.empty()) {
    return answer_failure(*call, no_such_path());
  }
  call->resource = core->registry->find("", "v1", path.resource);
  PELTON_CHECK(call->resource != nullptr);
  Result<std::vector<Stored>> objects = find_objects(core, *call);
  if (!objects.ok()) return answer_failure(*call, objects.error());
  std::make_shared<Gathering>(core, call, std::move(objects).value())->start();
}

std::optional<Json> metrics_discovery(std::string_view path) {
  const std::string group_path = "/apis/" + std::string(kMetricsGroup);
  if (path == group_path) {
    Json group = group_document();
    group.set("kind", "APIGroup");
    group.set("apiVersion", "v1");
    return group;
  }
  if (path != group_path + "/" + std::string(kMetricsVersion)) return std::nullopt;
  return Json::object(
      {{"kind", "APIResourceList"},
       {"apiVersion", "v1"},
       {"groupVersion", metrics_api_version()},
       {"resources", Json::array({discovery_resource("nodes", "NodeMetrics", false),
                                  discovery_resource("pods", "PodMetrics", true)})}});
}

void add_metrics_group(Json& document) {
  if (document["kind"].as_string() == "APIGroupList") {
    document.child("groups").push_back(group_document());
    return;
  }
  const Json version =
      Json::object({{"version", kMetricsVersion},
                    {"resources", Json::array({aggregated_resource("nodes", "NodeMetrics", false),
                                               aggregated_resource("pods", "PodMetrics", true)})},
                    {"freshness", "Current"}});
  document.child("items").push_back(Json::object(
      {{"metadata", Json::object({{"creationTimestamp", nullptr}, {"name", kMetricsGroup}})},
       {"versions", Json::array({version})}}));
}

}  // namespace pelton::apiserver
