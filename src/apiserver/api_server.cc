// SPDX-License-Identifier: Apache-2.0
#include "apiserver/api_server.h"

#include "api/custom/definition.h"
#include "api/defaults.h"
#include "api/openapi.h"
#include "apiserver/core.h"
#include "apiserver/definitions.h"
#include "apiserver/discovery.h"
#include "apiserver/metrics.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
constexpr const char* kSystemNamespaces[] = {"default", "kube-system", "kube-public",
                                             "kube-node-lease"};

bool is_health_path(std::string_view path) {
  return path == "/healthz" || path == "/livez" || path == "/readyz";
}

void answer_text(Call& call, int code, std::string_view text) {
  call.sink->respond(code, "text/plain; charset=utf-8", text);
}

void answer_health(const Core& core, Call& call) {
  const bool is_broken = !core.objects.store().health().ok();
  if (call.path.path == "/readyz" && !core.is_ready) {
    return answer_text(call, 503, "not ready: the store is being opened\n");
  }
  if (is_broken) return answer_text(call, 503, "the store cannot write; see the server's log\n");
  answer_text(call, 200, "ok");
}

/// Whatever the request accepts: who scrapes takes text, also where it does not say so.
void answer_metrics(const Core& core, Call& call) {
  if (call.request.method != "GET") return answer_failure(call, method_not_allowed(call.path.path));
  const Result<std::string> text = core.options.metrics();
  if (!text.ok()) return answer_failure(call, text.error());
  call.sink->respond(200, "text/plain; version=0.0.4; charset=utf-8", *text);
}

void answer_discovery(Call& call, const Json& document) {
  if (call.form != AnswerForm::Discovery) return answer_json(call, 200, document);
  const std::string body = document.dump() + "\n";
  const std::string tag = "\"" + std::to_string(base::hash64(body)) + "\"";
  net::ResponseHead head;
  head.headers.add("Content-Type",
                   "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  head.headers.add("ETag", tag);
  head.headers.add("Vary", "Accept");
  head.headers.add("Cache-Control", "public");
  const bool is_known = call.request.headers.get("If-None-Match") == tag;
  if (is_known) head.status = 304;
  head.headers.add("Content-Length", is_known ? "0" : std::to_string(body.size()));
  call.sink->head(std::move(head));
  if (!is_known) call.sink->write(body);
  call.sink->end();
}

/// Whether the path is one of OpenAPI's, which is then answered.
bool try_openapi(Call& call) {
  const std::string& path = call.path.path;
  if (path == "/openapi/v3") {
    answer_json(call, 200, api::openapi_v3_index(*call.registry));
    return true;
  }
  for (const api::GroupVersion& gv : call.registry->group_versions()) {
    const std::string tail = gv.group.empty()
                                 ? "api/" + std::string(gv.version)
                                 : "apis/" + std::string(gv.group) + "/" + std::string(gv.version);
    if (path == "/openapi/v3/" + tail) {
      answer_json(call, 200, api::openapi_v3(*call.registry, gv));
      return true;
    }
  }
  return false;
}

/// kubectl asks version 2, in protobuf, for a kind that it did not find in version 3. All kinds are
/// in version 3: this document ({swagger: "2.0", info: {title, version}, paths: {}}) says that
/// there are no others, and kubectl then says so in its own words.
void answer_openapi_v2(Call& call) {
  static constexpr std::string_view kDocument(
      "\x0a\x03"
      "2.0"
      "\x12\x0c"
      "\x0a\x06Pelton"
      "\x12\x02v1"
      "\x42\x00",
      21);
  call.sink->respond(200, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", kDocument);
}

void answer_non_resource(const Core& core, Call& call) {
  if (call.request.method != "GET") return answer_failure(call, method_not_allowed(call.path.path));
  if (call.path.path == "/version") return answer_json(call, 200, version_document());
  const bool has_metrics = core.options.kubelets != nullptr;
  if (auto document = discovery_document(*call.registry, call.path.path, call.form)) {
    if (has_metrics && call.path.path == "/apis") add_metrics_group(*document);
    return answer_discovery(call, *document);
  }
  if (const auto document = metrics_discovery(call.path.path); has_metrics && document) {
    return answer_discovery(call, *document);
  }
  if (try_openapi(call)) return;
  answer_failure(call, no_such_path());
}

bool offers(std::span<const std::string_view> verbs, std::string_view verb) {
  for (std::string_view v : verbs) {
    if (v == verb) return true;
  }
  return false;
}

/// The Kubernetes verb of a request; "" where the method means nothing here.
std::string verb_of(const Call& call) {
  const std::string& method = call.request.method;
  const bool is_collection = call.path.name.empty();
  if (method == "GET" || method == "HEAD") {
    if (!is_collection) return "get";
    return call.query.boolean("watch").value_or(false) ? "watch" : "list";
  }
  if (method == "POST") return is_collection || !call.path.subresource.empty() ? "create" : "";
  if (method == "PUT" && !is_collection) return "update";
  if (method == "PATCH" && !is_collection) return "patch";
  if (method == "DELETE") return is_collection ? "deletecollection" : "delete";
  return "";
}

void fill_access(Call& call) {
  Access& access = call.access;
  access.verb = verb_of(call);
  access.group = call.path.group;
  access.resource = call.path.resource;
  access.subresource = call.path.subresource;
  access.ns = call.path.ns;
  access.name = call.path.name;
  access.field_selector = call.query.get("fieldSelector");
  call.subject.group = call.path.group;
  call.subject.resource = call.path.resource;
  call.subject.name = call.path.name;
  const bool is_read = access.verb == "get" || access.verb == "list" || access.verb == "watch";
  call.is_audited = !is_read || call.is_remote();
}

/// A node may read a Secret or ConfigMap only while a pod of its own uses it.
Status check_reference(const Core& core, const Call& call) {
  if (!needs_referencing_pod(call.request.identity, call.access)) return base::ok();
  const std::string node = node_of(call.request.identity);
  const std::string name = referenced_name(call.access);
  const api::ResourceInfo* pods = call.registry->find("", "v1", "pods");
  PELTON_CHECK(pods != nullptr);
  bool is_used = false;
  core.objects.for_each(*pods, call.path.ns, [&](const Stored& pod) {
    is_used = is_used || ((*pod.object)["spec"]["nodeName"].as_string() == node &&
                          pod_references(*pod.object, call.access.resource, name));
  });
  if (is_used) return base::ok();
  return access_denied(call.request.identity, call.access, "no pod of the node uses it");
}

/// Finds the resource and checks that the verb is offered there.
Status find_resource(Call& call) {
  const RequestPath& path = call.path;
  call.resource = call.registry->find(path.group, path.version, path.resource);
  if (call.resource == nullptr) return no_such_path();
  call.subject.kind = call.resource->kind;
  const bool is_of_itself = path.resource == "namespaces" && path.ns == path.name;
  if (!call.resource->is_namespaced && !path.ns.empty() && !is_of_itself) return no_such_path();
  std::span<const std::string_view> verbs = call.resource->verbs;
  if (!path.subresource.empty()) {
    call.subresource = call.resource->subresource(path.subresource);
    if (call.subresource == nullptr) return no_such_path();
    verbs = call.subresource->verbs;
  }
  if (call.access.verb.empty() || !offers(verbs, call.access.verb)) {
    return method_not_allowed(call.request.method + " " + path.path);
  }
  const bool needs_namespace = call.resource->is_namespaced && path.ns.empty() &&
                               (call.access.verb == "create" || !path.name.empty());
  if (call.resource->custom != nullptr && !call.resource->custom->deprecation.empty()) {
    call.warnings.push_back(call.resource->custom->deprecation);
    call.lasting_warnings = call.warnings.size();
  }
  if (needs_namespace) {
    return method_not_allowed(call.request.method + " " + path.path +
                              ": an object of this kind lives in a namespace: use "
                              "/namespaces/NAME/" +
                              path.resource);
  }
  return base::ok();
}

void dispatch(const CorePtr& core, const CallPtr& call) {
  const std::string& verb = call->access.verb;
  const std::string& subresource = call->path.subresource;
  if (call->is_log()) return handle_pod_log(core, call);
  if (call->is_remote()) return handle_pod_remote(core, call);
  if (call->is_scale()) return handle_scale(core, call);
  if (subresource == "binding") return handle_pod_binding(core, call);
  if (call->resource->is_virtual) return handle_gang_binding(core, call);
  if (verb == "get") return handle_get(core, call);
  if (verb == "list") return handle_list(core, call);
  if (verb == "watch") return handle_watch(core, call);
  if (verb == "create") return handle_create(core, call);
  if (verb == "update") return handle_replace(core, call);
  if (verb == "patch") return handle_patch(core, call);
  if (verb == "delete") return handle_delete(core, call);
  handle_delete_collection(core, call);
}

void audit(const Core& core, const Call& call, int code) {
  if (!call.is_audited) return;
  // Heartbeats would drown the rest.
  const base::Severity severity =
      call.path.resource == "leases" ? base::Severity::Debug : base::Severity::Info;
  core.log.write(
      severity, "audit",
      Json::object({{"user", call.request.identity.name},
                    {"verb", call.access.verb},
                    {"resource", qualified_resource(call.path.resource, call.path.group)},
                    {"subresource", call.path.subresource},
                    {"namespace", call.path.ns},
                    {"name", call.subject.name},
                    {"dry_run", call.is_dry_run},
                    {"code", code}}));
}

void handle(const CorePtr& core, net::Request request, net::ResponseSinkPtr sink) {
  auto call = std::make_shared<Call>();
  call->registry = core->registry;
  call->request = std::move(request);
  call->sink = std::move(sink);
  call->path = parse_request_path(call->request.path());
  call->query = Query(call->request.target);
  if (core->is_stopped) {
    return answer_failure(*call, base::unavailable("the API server is stopping"));
  }
  if (is_health_path(call->path.path)) return answer_health(*core, *call);
  if (call->request.identity.name.empty()) {
    return answer_failure(*call, {base::Code::Unauthenticated, "Unauthorized"});
  }
  fill_access(*call);
  if (!call->path.is_resource) {
    call->access.non_resource_path = call->path.path;
    call->access.verb = base::to_lower(call->request.method);
  }
  call->on_answer = [core](const Call& c, int code) { audit(*core, c, code); };
  Status status = authorize(call->request.identity, call->access);
  if (!status.ok()) return answer_failure(*call, status);
  if (call->path.path == "/openapi/v2") return answer_openapi_v2(*call);
  if (call->path.path == "/metrics" && core->options.metrics) return answer_metrics(*core, *call);
  Result<AnswerForm> form = negotiate_answer(call->request.headers.get("Accept"));
  const bool has_form = !call->is_log() && !call->is_remote();
  if (!form.ok() && has_form) return answer_failure(*call, form.error());
  if (form.ok()) call->form = *form;
  if (!call->path.is_resource) return answer_non_resource(*core, *call);
  if (call->path.group == kMetricsGroup) return handle_metrics(core, call);
  status = find_resource(*call);
  if (status.code() == base::Code::NotFound) call->subject = {};  // it is the path that is unknown
  if (status.ok()) status = check_reference(*core, *call);
  if (!status.ok()) return answer_failure(*call, status);
  dispatch(core, call);
}

/// Makes the system namespaces one after the other, from `index` on.
void make_namespaces(const CorePtr& core, size_t index, std::function<void(Status)> done) {
  if (index == std::size(kSystemNamespaces)) {
    core->is_ready = true;
    return done(base::ok());
  }
  const api::ResourceInfo* resource = core->registry->find("", "v1", "namespaces");
  PELTON_CHECK(resource != nullptr);
  const std::string name = kSystemNamespaces[index];
  if (core->objects.get(*resource, "", name).ok()) {
    return make_namespaces(core, index + 1, std::move(done));
  }
  Write write;
  write.resource = resource;
  write.name = name;
  Json object = Json::object(
      {{"kind", "Namespace"},
       {"apiVersion", "v1"},
       {"metadata", Json::object({{"name", name},
                                  {"uid", core->random.uuid()},
                                  {"creationTimestamp", base::format_time(core->clock.now())}})}});
  api::apply_defaults(*resource, object, true);
  api::prepare_for_create(*resource, object);
  write.object = std::make_shared<const Json>(std::move(object));
  core->objects.commit({std::move(write)}, {},
                       [core, index, done = std::move(done)](Result<Revision> revision) {
                         if (!revision.ok()) return done(revision.status());
                         make_namespaces(core, index + 1, done);
                       });
}
}  // namespace

struct ApiServer::State {
  CorePtr core;
};

ApiServer::ApiServer(world::Clock& clock, world::Timers& timers, world::Random& random,
                     base::Log& log, store::Store& store, const api::Registry& registry,
                     ApiServerOptions options)
    : state_(std::make_shared<State>()) {
  Result<IpRange> range = IpRange::parse(options.service_range);
  PELTON_CHECK(range.ok());  // the command line has checked it
  state_->core = std::make_shared<Core>(
      Core{clock, timers, random, log,
           std::shared_ptr<const api::Registry>(std::shared_ptr<void>(), &registry),
           std::move(options), *range, Objects(store)});
}

ApiServer::~ApiServer() {
  Core& core = *state_->core;
  core.is_stopped = true;
  // A stream that is shut leaves the map by itself.
  while (!core.streams.empty()) {
    const std::shared_ptr<Stream> stream = core.streams.begin()->second;
    stream->shut();
  }
}

void ApiServer::start(std::function<void(Status)> done) {
  start_definitions(state_->core);
  make_namespaces(state_->core, 0, std::move(done));
}

net::Handler ApiServer::handler() {
  return [core = state_->core](net::Request request, net::ResponseSinkPtr sink) {
    handle(core, std::move(request), std::move(sink));
  };
}

}  // namespace pelton::apiserver
