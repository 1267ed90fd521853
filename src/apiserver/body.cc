// SPDX-License-Identifier: Apache-2.0
#include "apiserver/body.h"

#include "api/decode.h"
#include "api/protobuf.h"
#include "api/validate.h"
#include "api/yaml.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

Result<Json> read_body(const net::Request& request) {
  PELTON_TRY(check_size(request.body.size()));
  if (request.body.empty()) return Json();
  const std::string type = media_type(request.headers.get("Content-Type"));
  if (type == "application/yaml" || type == "application/apply-patch+yaml") {
    Result<Json> value = api::parse_yaml(request.body);
    if (!value.ok()) return bad_request("the body is not YAML: " + value.error().message());
    return value;
  }
  if (type == api::kProtobufMediaType) {
    Result<Json> value = api::parse_protobuf(request.body);
    if (!value.ok()) return bad_request("the body is " + value.error().message());
    return value;
  }
  const bool is_json =
      type.empty() || type == "application/json" || type == "application/json-patch+json" ||
      type == "application/merge-patch+json" || type == "application/strategic-merge-patch+json";
  if (!is_json) return unsupported_media_type(type, "application/json, application/yaml");
  Result<Json> value = Json::parse(request.body);
  if (!value.ok()) {
    return bad_request("the object provided is unrecognized: json parse error: " +
                       value.error().message());
  }
  return value;
}

Status read_write_options(Call& call) {
  const std::string& dry_run = call.query.get("dryRun");
  if (!dry_run.empty() && dry_run != "All") {
    return bad_request("query parameter dryRun=" + dry_run + ": the only value is All");
  }
  call.is_dry_run = dry_run == "All";
  const std::string& validation = call.query.get("fieldValidation");
  if (!validation.empty() && validation != "Ignore" && validation != "Warn" &&
      validation != "Strict") {
    return bad_request("query parameter fieldValidation=" + validation +
                       ": want Ignore, Warn or Strict");
  }
  return base::ok();
}

namespace {
Status check_namespace(const Call& call, Json& metadata) {
  if (!call.resource->is_namespaced) {
    if (!metadata["namespace"].as_string().empty()) {
      return bad_request(
          "namespace in the object of a cluster-scoped kind: remove "
          "metadata.namespace");
    }
    metadata.erase("namespace");
    return base::ok();
  }
  const std::string& given = metadata["namespace"].as_string();
  if (given.empty()) {
    metadata.set("namespace", call.path.ns);
  } else if (given != call.path.ns) {
    return bad_request(
        "the namespace of the provided object does not match the namespace sent on "
        "the request");
  }
  return base::ok();
}

Status check_name(const Call& call, Json& metadata) {
  if (call.path.name.empty()) return base::ok();
  const std::string& given = metadata["name"].as_string();
  if (given.empty()) {
    metadata.set("name", call.path.name);
  } else if (given != call.path.name) {
    return bad_request("the name of the object (" + given +
                       ") does not match the name on the URL (" + call.path.name + ")");
  }
  return base::ok();
}
}  // namespace

Status admit_object(Call& call, Json& object) {
  if (!object.is_object()) {
    return bad_request("the body must be one object of kind " + std::string(call.resource->kind));
  }
  std::vector<std::string> unknown;
  PELTON_TRY(api::decode(*call.resource, object, unknown));
  const std::string& validation = call.query.get("fieldValidation");
  if (!unknown.empty() && validation == "Strict") {
    return api::strict_error(*call.resource, unknown);
  }
  if (validation != "Ignore") {
    for (const std::string& path : unknown) {
      call.warnings.push_back("unknown field \"" + path + "\"");
    }
  }
  Json& metadata = object.child("metadata");
  if (metadata.is_null()) metadata = Json::object();
  metadata.erase("managedFields");
  metadata.erase("selfLink");
  PELTON_TRY(check_namespace(call, metadata));
  return check_name(call, metadata);
}

Status check_size(size_t bytes) {
  if (bytes <= api::kObjectBytesMax) return base::ok();
  return {base::Code::ResourceExhausted, "RequestEntityTooLarge",
          "Request entity too large: limit is " + std::to_string(api::kObjectBytesMax) +
              " bytes, the object has " + std::to_string(bytes)};
}

}  // namespace pelton::apiserver
