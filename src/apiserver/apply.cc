// SPDX-License-Identifier: Apache-2.0
// Server-side apply: PATCH with the whole configuration that the applier wants.
#include "api/decode.h"
#include "api/fields/typed.h"
#include "api/object.h"
#include "apiserver/body.h"
#include "apiserver/write.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
/// How often an object may come and go while it is applied.
constexpr int kTries = 8;

Status cannot_apply(const Call& call, const Json& config, const std::vector<std::string>& faults) {
  std::string what = faults.front();
  if (faults.size() > 1) {
    what = "errors:";
    for (const std::string& fault : faults) what += "\n  " + fault;
  }
  const api::ResourceInfo& r = *call.resource;
  return unclassified("failed to create typed patch object (" + api::namespace_of(config) + "/" +
                      api::name_of(config) + "; " + std::string(r.group) + "/" +
                      std::string(r.version) + ", Kind=" + std::string(r.kind) + "): " + what);
}

/// From the body to a decoded configuration.
Status read_config(Call& call, Json& config) {
  if (!config.is_object()) {
    return bad_request("the body of an apply must be one object of kind " +
                       std::string(call.resource->kind));
  }
  if (config["kind"].as_string().empty()) {
    return bad_request("Object 'Kind' is missing in '" + call.request.body + "'");
  }
  const std::string wanted = call.resource->api_version();
  if (config["apiVersion"].as_string() != wanted) {
    return bad_request("Incorrect version specified in apply patch. Specified patch version: " +
                       config["apiVersion"].as_string() + ", expected: " + wanted);
  }
  if (!config["metadata"]["managedFields"].is_null()) {
    return bad_request("metadata.managedFields must be nil");
  }
  const std::vector<std::string> faults = api::fields::find_faults(*call.resource->type, config);
  if (!faults.empty()) return cannot_apply(call, config, faults);
  return admit_config(call, config);
}

void attempt_apply(const CorePtr& core, const CallPtr& call,
                   const api::fields::ApplyRequest& request, int tries_left);

/// Nothing of that name is there: the configuration is the object.
void create_by_apply(const CorePtr& core, const CallPtr& call, api::fields::ApplyRequest request,
                     int tries_left) {
  if (call->subresource != nullptr) return answer_failure(*call, object_not_found(call->subject));
  Access access = call->access;
  access.verb = "create";
  const Status allowed = authorize(call->request.identity, access);
  if (!allowed.ok()) return answer_failure(*call, allowed);
  const std::string& uid = api::uid_of(request.config);
  if (!uid.empty()) {
    return answer_failure(
        *call, object_conflict(call->subject, "uid mismatch: the provided object specified uid " +
                                                  uid + ", and no existing object was found"));
  }
  request.is_new = true;
  const Json nothing =
      Json::object({{"apiVersion", call->resource->api_version()}, {"kind", call->resource->kind}});
  Result<Json> object =
      apply_config(*call->resource, nothing, request, writer_of(*call, core->clock.now()));
  if (!object.ok()) return answer_failure(*call, object.error());
  api::drop_empty(*call->resource, *object);
  object->make("metadata").erase("resourceVersion");
  request.is_new = false;
  create_object(core, call, {std::move(*object), true}, [core, call, request, tries_left] {
    if (tries_left <= 1) return answer_failure(*call, object_already_exists(call->subject));
    attempt_apply(core, call, request, tries_left - 1);
  });
}

void attempt_apply(const CorePtr& core, const CallPtr& call,
                   const api::fields::ApplyRequest& request, int tries_left) {
  update_object(
      core, call,
      [core, call, request](const Json& before) -> Result<Wanted> {
        PELTON_ASSIGN(Json object, apply_config(*call->resource, before, request,
                                                writer_of(*call, core->clock.now())));
        api::drop_empty(*call->resource, object);
        return Wanted{std::move(object), true};
      },
      [core, call, request, tries_left] { create_by_apply(core, call, request, tries_left); });
}
}  // namespace

void handle_apply(const CorePtr& core, const CallPtr& call) {
  Result<Json> body = read_body(call->request);
  if (!body.ok()) return answer_failure(*call, body.error());
  api::fields::ApplyRequest request;
  request.config = std::move(*body);
  request.is_forced = call->query.boolean("force").value_or(false);
  const Status status = read_config(*call, request.config);
  if (!status.ok()) return answer_failure(*call, status);
  attempt_apply(core, call, request, kTries);
}

}  // namespace pelton::apiserver
