// SPDX-License-Identifier: Apache-2.0
#include "apiserver/body.h"

#include "api/decode.h"
#include "api/duplicates.h"
#include "api/fields/managed_fields.h"
#include "api/protobuf.h"
#include "api/validate.h"
#include "api/yaml.h"
#include "base/strings.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
constexpr std::string_view kYaml = "application/yaml";
constexpr std::string_view kApplyPatch = "application/apply-patch+yaml";
}  // namespace

Result<Json> read_body(const net::Request& request) {
  PELTON_TRY(check_size(request.body.size()));
  if (request.body.empty()) return Json();
  const std::string type = media_type(request.headers.get("Content-Type"));
  if (type == kYaml || type == kApplyPatch) {
    // JSON is YAML too, and kubectl sends it; reading it as what it is takes far less time.
    if (request.body.front() == '{') {
      if (Result<Json> value = Json::parse(request.body); value.ok()) return value;
    }
    Result<Json> value = api::parse_yaml(request.body);
    if (!value.ok()) return bad_request("error decoding YAML: " + value.error().message());
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
  if (!is_json) return unsupported_media_type("application/json, application/yaml");
  Result<Json> value = Json::parse(request.body);
  if (!value.ok()) {
    return bad_request("the object provided is unrecognized: json parse error: " +
                       value.error().message());
  }
  return value;
}

namespace {
/// A query parameter that the options of this verb cannot have.
Status bad_option(Call& call, const char* reason, const std::string& field,
                  const std::string& why) {
  const std::string& verb = call.access.verb;
  const std::string kind = verb == "create"   ? "CreateOptions"
                           : verb == "update" ? "UpdateOptions"
                           : verb == "patch"  ? "PatchOptions"
                                              : "DeleteOptions";
  call.subject = options_subject(kind);  // it, and no object, is invalid
  return invalid_field(call.subject, reason, field, why);
}

Status check_manager(Call& call) {
  const std::string& manager = call.query.get("fieldManager");
  if (manager.size() > api::fields::kManagerBytesMax) {
    return bad_option(call, "FieldValueTooLong", "fieldManager",
                      "Too long: may not be more than " +
                          std::to_string(api::fields::kManagerBytesMax) + " bytes");
  }
  for (char c : manager) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) continue;
    return bad_option(
        call, "FieldValueInvalid", "fieldManager",
        "Invalid value: " + Json(manager).dump() + ": should only contain printable characters");
  }
  if (call.access.verb != "patch") return base::ok();
  if (media_type(call.request.headers.get("Content-Type")) == kApplyPatch) {
    if (!manager.empty()) return base::ok();
    return bad_option(call, "FieldValueRequired", "fieldManager",
                      "Required value: is required for apply patch");
  }
  if (!call.query.has("force")) return base::ok();
  return bad_option(call, "FieldValueForbidden", "force",
                    "Forbidden: may not be specified for non-apply patch");
}
}  // namespace

Status read_write_options(Call& call) {
  const std::string& dry_run = call.query.get("dryRun");
  if (!dry_run.empty() && dry_run != "All") {
    return bad_option(call, "FieldValueNotSupported", "dryRun",
                      "Unsupported value: [\"" + dry_run + "\"]: supported values: \"All\"");
  }
  call.is_dry_run = dry_run == "All";
  const std::string& validation = call.query.get("fieldValidation");
  if (!validation.empty() && validation != "Ignore" && validation != "Warn" &&
      validation != "Strict") {
    return bad_option(call, "FieldValueNotSupported", "fieldValidation",
                      "Unsupported value: \"" + validation +
                          "\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"");
  }
  return check_manager(call);
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
/// What the text says that the object does not show: members named twice.
struct Duplicates {
  std::vector<std::string> in_json;  ///< messages
  std::vector<std::string> in_yaml;  ///< messages, without where they come from
};

Duplicates duplicates_in(const Call& call) {
  const std::string& body = call.request.body;
  const std::string type = media_type(call.request.headers.get("Content-Type"));
  if (type == kYaml || type == kApplyPatch) {
    // What is JSON, and names nothing twice, need not be read as YAML to know that.
    const bool is_plain =
        body.starts_with('{') && Json::parse(body).ok() && api::find_duplicate_fields(body).empty();
    return {{}, is_plain ? std::vector<std::string>() : api::find_duplicate_keys(body)};
  }
  const size_t begin = body.find_first_not_of(" \t\r\n");
  const bool is_json = begin != std::string::npos && (body[begin] == '{' || body[begin] == '[');
  Duplicates out;
  if (!is_json) return out;
  for (const std::string& path : api::find_duplicate_fields(body)) {
    out.in_json.push_back("duplicate field \"" + path + "\"");
  }
  return out;
}

std::string yaml_message(const std::vector<std::string>& lines) {
  return "yaml: unmarshal errors:\n  " + base::join(lines, "\n  ");
}

/// Refuses, warns about or ignores what fell away in decoding, as the client asked.
Status report_problems(Call& call, const std::vector<std::string>& unknown) {
  const std::string& validation = call.query.get("fieldValidation");
  if (validation == "Ignore") return base::ok();
  std::vector<std::string> problems;
  for (const std::string& path : unknown) problems.push_back("unknown field \"" + path + "\"");
  const auto [in_json, in_yaml] = duplicates_in(call);
  problems.insert(problems.end(), in_json.begin(), in_json.end());
  if (validation != "Strict") {
    for (const auto& said : {in_yaml, problems}) {
      call.warnings.insert(call.warnings.end(), said.begin(), said.end());
    }
    return base::ok();
  }
  if (!in_yaml.empty() && call.access.verb == "patch") {
    return bad_request("error strict decoding YAML: error converting YAML to JSON: " +
                       yaml_message(in_yaml));
  }
  if (!in_yaml.empty()) problems.insert(problems.begin(), yaml_message(in_yaml));
  if (problems.empty()) return base::ok();
  if (call.access.verb != "patch") return api::strict_error(*call.resource, problems);
  const std::string why =
      "Invalid value: " + Json(call.request.body).dump() + ": " + api::strict_message(problems);
  Status status(base::Code::InvalidArgument, "Invalid", " \"\" is invalid: patch: " + why);
  status.add_cause({"FieldValueInvalid", "patch", why});
  return status;
}
}  // namespace

Status admit_object(Call& call, Json& object) {
  PELTON_TRY(admit_config(call, object));
  api::drop_empty(*call.resource, object);
  return base::ok();
}

Status admit_config(Call& call, Json& object) {
  if (!object.is_object()) {
    return bad_request("the body must be one object of kind " + std::string(call.resource->kind));
  }
  std::vector<std::string> unknown;
  PELTON_TRY(api::decode(*call.resource, object, unknown));
  PELTON_TRY(report_problems(call, unknown));
  Json& metadata = object.child("metadata");
  if (metadata.is_null()) metadata = Json::object();
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
