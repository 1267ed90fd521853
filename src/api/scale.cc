// SPDX-License-Identifier: Apache-2.0
#include "api/scale.h"

#include "base/strings.h"

namespace pelton::api {

using base::Json;
using base::Result;
using base::Status;

namespace {
constexpr std::string_view kVersion = "autoscaling/v1";

std::vector<std::string_view> names_of(std::string_view path) {
  if (path.starts_with('.')) path.remove_prefix(1);
  return base::split(path, '.');
}

const Json& value_at(const Json& object, std::string_view path) {
  const Json* at = &object;
  for (std::string_view name : names_of(path)) at = &(*at)[name];
  return *at;
}

Status bad_request(std::string message) {
  return {base::Code::InvalidArgument, "BadRequest", std::move(message)};
}

Status check_scale(const Json& scale, const std::string& name) {
  if (!scale.is_object()) return bad_request("the body must be one object of kind Scale");
  const std::string& kind = scale["kind"].as_string();
  const std::string& version = scale["apiVersion"].as_string();
  if ((!kind.empty() && kind != "Scale") || (!version.empty() && version != kVersion)) {
    return bad_request("the object is a " + version + " " + kind + ", want an " +
                       std::string(kVersion) + " Scale");
  }
  const std::string& given = scale["metadata"]["name"].as_string();
  if (!given.empty() && given != name) {
    return bad_request("the name of the object (" + given +
                       ") does not match the name on the URL (" + name + ")");
  }
  return base::ok();
}
}  // namespace

Json scale_of(const Json& object, const ScalePaths& paths) {
  Json metadata = Json::object();
  for (const char* name : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) {
    if (const Json* value = object["metadata"].find(name)) metadata.set(name, *value);
  }
  Json status = Json::object({{"replicas", value_at(object, paths.status_replicas).as_int()}});
  if (!paths.selector.empty()) {
    const std::string& selector = value_at(object, paths.selector).as_string();
    if (!selector.empty()) status.set("selector", selector);
  }
  return Json::object(
      {{"kind", "Scale"},
       {"apiVersion", kVersion},
       {"metadata", std::move(metadata)},
       {"spec", Json::object({{"replicas", value_at(object, paths.spec_replicas).as_int()}})},
       {"status", std::move(status)}});
}

Result<Json> with_scale(const Json& object, const Json& scale, const ScalePaths& paths) {
  const std::string& name = object["metadata"]["name"].as_string();
  PELTON_TRY(check_scale(scale, name));
  const Json& replicas = scale["spec"]["replicas"];
  if (!replicas.is_null() && !replicas.is_int()) {
    return bad_request(
        "Scale in version \"v1\" cannot be handled as a Scale: spec.replicas: "
        "expected integer, got " +
        std::string(replicas.type_name()));
  }
  if (replicas.as_int() < 0) {
    const std::string why =
        "Invalid value: " + replicas.dump() + ": must be greater than or equal to 0";
    Status status(base::Code::InvalidArgument, "Invalid",
                  "Scale.autoscaling \"" + name + "\" is invalid: spec.replicas: " + why);
    status.add_cause({"FieldValueInvalid", "spec.replicas", why});
    return status;
  }
  Json result = object;
  Json* at = &result;
  for (std::string_view part : names_of(paths.spec_replicas)) {
    if (!at->is_null() && !at->is_object()) {
      return bad_request("the object has no place for replicas at " + paths.spec_replicas);
    }
    at = &at->child(part);
  }
  *at = replicas.as_int();
  const Json& version = scale["metadata"]["resourceVersion"];
  if (!version.as_string().empty()) result.child("metadata").set("resourceVersion", version);
  const Json& uid = scale["metadata"]["uid"];
  if (!uid.as_string().empty()) result.child("metadata").set("uid", uid);
  return result;
}

}  // namespace pelton::api
