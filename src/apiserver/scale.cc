// SPDX-License-Identifier: Apache-2.0
// GET, PUT and PATCH of an object's scale.
#include "api/scale.h"

#include "api/custom/definition.h"
#include "api/patch.h"
#include "apiserver/body.h"
#include "apiserver/write.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
const api::ScalePaths& paths_of(const Call& call) {
  PELTON_CHECK(call.resource->custom != nullptr && call.resource->custom->scale.has_value());
  return *call.resource->custom->scale;
}

/// The Scale that the request asks for, given the present one.
Result<Json> wanted_scale(const Call& call, const Json& body, const Json& present) {
  if (call.access.verb == "update") return body;
  const std::string type = media_type(call.request.headers.get("Content-Type"));
  if (type == "application/json-patch+json") return api::json_patch(present, body);
  if (type == "application/merge-patch+json") return api::merge_patch(present, body);
  return unsupported_media_type("application/json-patch+json, application/merge-patch+json");
}
}  // namespace

void handle_scale(const CorePtr& core, const CallPtr& call) {
  if (call->access.verb == "get") return handle_get(core, call);
  const Status status = read_write_options(*call);
  if (!status.ok()) return answer_failure(*call, status);
  Result<Json> body = read_body(call->request);
  if (!body.ok()) return answer_failure(*call, body.error());
  update_object(core, call, [call, sent = std::move(*body)](const Json& before) -> Result<Wanted> {
    const api::ScalePaths& paths = paths_of(*call);
    PELTON_ASSIGN(const Json scale, wanted_scale(*call, sent, api::scale_of(before, paths)));
    PELTON_ASSIGN(Json object, api::with_scale(before, scale, paths));
    return Wanted{std::move(object)};
  });
}

Json shape_scale(const Call& call, const Json& object) {
  return api::scale_of(object, paths_of(call));
}

}  // namespace pelton::apiserver
