// SPDX-License-Identifier: Apache-2.0
#include "client/client.h"

#include <utility>

#include "api/object.h"
#include "base/strings.h"

namespace pelton::client {

using base::Code;
using base::Json;
using base::Result;
using base::Status;

namespace {

/// Appends NAME=VALUE to a target, with '?' or '&'.
void add_query(std::string& target, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  target += target.find('?') == std::string::npos ? '?' : '&';
  target += name;
  target += '=';
  target += base::percent_encode(value);
}

net::Request make_request(std::string method, std::string target, const Json* body = nullptr,
                          std::string content_type = "application/json") {
  net::Request request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.headers.add("Accept", "application/json");
  request.headers.add("User-Agent", "pelton");  // the name under which we own fields
  if (body != nullptr) {
    request.headers.add("Content-Type", std::move(content_type));
    request.body = body->dump();
  }
  return request;
}

Status unknown_kind(std::string_view kind) {
  return base::invalid_argument("no resource is known for kind \"" + std::string(kind) + "\"");
}

bool is_read(const net::Request& request) {
  return request.method == "GET" || request.method == "HEAD";
}

/// An answer as an object, or the error that it is.
Result<Json> object_from(Result<Response> result, bool is_write) {
  if (!result.ok()) return result.status();
  if (result->status < 200 || result->status > 299) {
    return status_from_response(result->status, result->body, is_write);
  }
  auto object = Json::parse(result->body);
  if (object.ok()) return object;
  // It succeeded, but how is not known; for a write that is no ground to try again.
  return Status(is_write ? Code::OutcomeUnknown : Code::Internal,
                "the server's answer is no JSON: " + object.error().message());
}

const char* content_type_of(PatchType type) {
  switch (type) {
    case PatchType::Merge:
      return "application/merge-patch+json";
    case PatchType::Json:
      return "application/json-patch+json";
    case PatchType::StrategicMerge:
      return "application/strategic-merge-patch+json";
  }
  return "";
}

}  // namespace

const api::ResourceInfo* find_resource(std::string_view kind) {
  for (const api::ResourceInfo* resource : api::Registry::builtin().resources()) {
    if (resource->kind == kind) return resource;
  }
  return nullptr;
}

std::string path_of(const api::ResourceInfo& resource, std::string_view namespace_name,
                    std::string_view name, std::string_view subresource) {
  std::string path =
      resource.group.empty() ? "/api/" : "/apis/" + std::string(resource.group) + "/";
  path += resource.version;
  if (resource.is_namespaced && !namespace_name.empty()) {
    path += "/namespaces/" + base::percent_encode(namespace_name);
  }
  path += "/" + std::string(resource.plural);
  if (!name.empty()) path += "/" + base::percent_encode(name);
  if (!subresource.empty()) path += "/" + std::string(subresource);
  return path;
}

/// One listing, page by page.
struct Client::ListRun {
  const api::ResourceInfo* resource = nullptr;
  std::string target;  ///< without paging
  int64_t limit = 0;
  std::string resource_version;
  ObjectList list;
  Json::Array no_items;
  ListDone done;
};

/// One exchange, from send to done.
struct Client::Call {
  explicit Call(world::Timers& timers) : timeout(timers) {}
  Response response;
  ResponseDone done;
  bool is_write = false;
  world::Timer timeout;
  std::unique_ptr<net::Exchange> exchange;
};

Client::Client(Transport& transport, world::Timers& timers, base::Duration timeout)
    : transport_(transport), timers_(timers), timeout_(timeout) {}

Client::~Client() = default;

void Client::raw(net::Request request, ResponseDone done) {
  const uint64_t id = next_id_++;
  auto owned = std::make_unique<Call>(timers_);
  Call& call = *owned;
  calls_.emplace(id, std::move(owned));
  call.done = std::move(done);
  call.is_write = !is_read(request);
  net::ResponseEvents events;
  events.on_head = [&call](const net::ResponseHead& head) {
    call.response.status = head.status;
    call.response.headers = head.headers;
  };
  events.on_data = [&call](std::string_view bytes) { call.response.body += bytes; };
  events.on_end = [this, id, &call](Status status) {
    if (status.ok()) return finish(id, std::move(call.response));
    // A read can always be repeated, whether it had reached the server or not.
    const bool is_repeatable = !call.is_write && status.code() == Code::OutcomeUnknown;
    const Code code = is_repeatable ? Code::Unavailable : status.code();
    finish(id, Status(code, status.reason(), status.message()));
  };
  call.timeout.start(timeout_, [this, id, &call] {
    finish(id, Status(call.is_write ? Code::OutcomeUnknown : Code::Unavailable, "Timeout",
                      "the API server did not answer in time"));
  });
  call.exchange = transport_.send(std::move(request), std::move(events));
}

void Client::finish(uint64_t id, Result<Response> result) {
  auto it = calls_.find(id);
  if (it == calls_.end()) return;
  // This runs within the call's own events, and `done` may destroy the client.
  const std::unique_ptr<Call> call = std::move(it->second);
  calls_.erase(it);
  call->timeout.cancel();
  call->done(std::move(result));
}

void Client::send(net::Request request, ObjectDone done) {
  const bool is_write = !is_read(request);
  raw(std::move(request), [done = std::move(done), is_write](Result<Response> result) {
    done(object_from(std::move(result), is_write));
  });
}

void Client::fail(Status status, ObjectDone done) {
  fail_later([done = std::move(done), status = std::move(status)] { done(status); });
}

void Client::fail_later(std::function<void()> tell) {
  timers_.post([alive = std::weak_ptr<bool>(alive_), tell = std::move(tell)] {
    if (!alive.expired()) tell();
  });
}

void Client::get(const ObjectKey& key, ObjectDone done) {
  const api::ResourceInfo* resource = find_resource(key.kind);
  if (resource == nullptr) return fail(unknown_kind(key.kind), std::move(done));
  send(make_request("GET", path_of(*resource, key.namespace_name, key.name)), std::move(done));
}

void Client::list(std::string_view kind, std::string_view namespace_name, ListOptions options,
                  ListDone done) {
  const api::ResourceInfo* resource = find_resource(kind);
  if (resource == nullptr) {
    return fail_later([done = std::move(done), why = unknown_kind(kind)] { done(why); });
  }
  std::string target = path_of(*resource, namespace_name);
  add_query(target, "labelSelector", options.label_selector);
  add_query(target, "fieldSelector", options.field_selector);
  ListRun run;
  run.resource = resource;
  run.target = target;
  run.limit = options.limit;
  // Only the first page may name a revision; the others' tokens carry it.
  run.resource_version = options.resource_version;
  run.done = std::move(done);
  list_page(std::make_shared<ListRun>(std::move(run)), "");
}

void Client::list_page(std::shared_ptr<ListRun> run, const std::string& token) {
  std::string target = run->target;
  if (run->limit > 0) add_query(target, "limit", std::to_string(run->limit));
  add_query(target, token.empty() ? "resourceVersion" : "continue",
            token.empty() ? run->resource_version : token);
  send(make_request("GET", target), [this, run, token](Result<Json> page) {
    if (!page.ok() && page.error().code() == Code::Gone && !token.empty()) {
      // The pages' revision was compacted away: everything anew, and in one piece.
      run->list = ObjectList();
      run->limit = 0;
      return list_page(run, "");
    }
    if (!page.ok()) return run->done(page.status());
    for (Json& item :
         page->child("items").is_array() ? page->child("items").mutable_items() : run->no_items) {
      item.set("apiVersion", run->resource->api_version());
      item.set("kind", run->resource->kind);
      run->list.items.push_back(std::move(item));
    }
    run->list.revision = revision_of(*page);
    const std::string next = (*page)["metadata"]["continue"].as_string();
    if (!next.empty()) return list_page(run, next);
    run->done(std::move(run->list));
  });
}

void Client::write(std::string_view method, const Json& object, std::string_view subresource,
                   ObjectDone done) {
  const std::string& kind = object["kind"].as_string();
  const api::ResourceInfo* resource = find_resource(kind);
  if (resource == nullptr) return fail(unknown_kind(kind), std::move(done));
  const std::string name = method == "POST" ? "" : api::name_of(object);
  std::string target = path_of(*resource, api::namespace_of(object), name, subresource);
  send(make_request(std::string(method), std::move(target), &object), std::move(done));
}

void Client::create(const Json& object, ObjectDone done) {
  write("POST", object, "", std::move(done));
}

void Client::update(const Json& object, ObjectDone done) {
  write("PUT", object, "", std::move(done));
}

void Client::update_status(const Json& object, ObjectDone done) {
  write("PUT", object, "status", std::move(done));
}

void Client::finalize(const Json& namespace_object, ObjectDone done) {
  write("PUT", namespace_object, "finalize", std::move(done));
}

void Client::patch(const ObjectKey& key, PatchType type, const Json& patch,
                   std::string_view subresource, ObjectDone done) {
  const api::ResourceInfo* resource = find_resource(key.kind);
  if (resource == nullptr) return fail(unknown_kind(key.kind), std::move(done));
  send(make_request("PATCH", path_of(*resource, key.namespace_name, key.name, subresource), &patch,
                    content_type_of(type)),
       std::move(done));
}

void Client::remove(const ObjectKey& key, const DeleteOptions& options, ObjectDone done) {
  const api::ResourceInfo* resource = find_resource(key.kind);
  if (resource == nullptr) return fail(unknown_kind(key.kind), std::move(done));
  Json body = Json::object({{"apiVersion", "v1"}, {"kind", "DeleteOptions"}});
  if (!options.uid.empty()) body.make("preconditions.uid") = options.uid;
  if (!options.resource_version.empty()) {
    body.make("preconditions.resourceVersion") = options.resource_version;
  }
  if (options.grace_period_seconds) body.set("gracePeriodSeconds", *options.grace_period_seconds);
  if (!options.propagation_policy.empty()) {
    body.set("propagationPolicy", options.propagation_policy);
  }
  send(make_request("DELETE", path_of(*resource, key.namespace_name, key.name), &body),
       std::move(done));
}

void Client::bind(std::string_view namespace_name, const PodBinding& binding, ObjectDone done) {
  Json metadata = Json::object({{"name", binding.pod_name}, {"namespace", namespace_name}});
  if (!binding.pod_uid.empty()) metadata.set("uid", binding.pod_uid);
  const Json body = Json::object(
      {{"apiVersion", "v1"},
       {"kind", "Binding"},
       {"metadata", std::move(metadata)},
       {"target",
        Json::object({{"apiVersion", "v1"}, {"kind", "Node"}, {"name", binding.node_name}})}});
  send(make_request("POST",
                    "/api/v1/namespaces/" + base::percent_encode(namespace_name) + "/pods/" +
                        base::percent_encode(binding.pod_name) + "/binding",
                    &body),
       std::move(done));
}

void Client::bind_gang(std::string_view namespace_name, std::string_view gang_name,
                       const std::vector<PodBinding>& bindings, ObjectDone done) {
  Json list = Json::array();
  for (const PodBinding& binding : bindings) {
    list.push_back(Json::object({{"podName", binding.pod_name},
                                 {"podUID", binding.pod_uid},
                                 {"nodeName", binding.node_name}}));
  }
  const Json body = Json::object(
      {{"apiVersion", "pelton.dev/v1alpha1"},
       {"kind", "GangBinding"},
       {"metadata", Json::object({{"name", gang_name}, {"namespace", namespace_name}})},
       {"spec", Json::object({{"bindings", std::move(list)}})}});
  send(make_request("POST",
                    "/apis/pelton.dev/v1alpha1/namespaces/" + base::percent_encode(namespace_name) +
                        "/gangbindings",
                    &body),
       std::move(done));
}

}  // namespace pelton::client
