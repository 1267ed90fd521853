// SPDX-License-Identifier: Apache-2.0
#include "apiserver/api_status.h"

#include <array>

namespace pelton::apiserver {

using base::Code;
using base::Json;
using base::Status;

namespace {
/// Upstream gives some errors no reason.
constexpr std::string_view kUnknownReason = "Unknown";

struct ReasonCode {
  std::string_view reason;
  int http;
};
// metav1.StatusReason and the code that upstream sends with each.
constexpr std::array<ReasonCode, 19> kReasons = {{
    {"BadRequest", 400},
    {"Unauthorized", 401},
    {"Forbidden", 403},
    {"NotFound", 404},
    {"MethodNotAllowed", 405},
    {"NotAcceptable", 406},
    {"AlreadyExists", 409},
    {"Conflict", 409},
    {"Gone", 410},
    {"Expired", 410},
    {"RequestEntityTooLarge", 413},
    {"UnsupportedMediaType", 415},
    {"Invalid", 422},
    {"TooManyRequests", 429},
    {"InternalError", 500},
    {"ServiceUnavailable", 503},
    {"ServerTimeout", 500},
    {"Timeout", 504},
    {kUnknownReason, 500},
}};

/// The Kubernetes reason for a status whose own reason is none of them.
std::string_view default_reason(const Status& status) {
  switch (status.code()) {
    case Code::Ok:
      return "";
    case Code::InvalidArgument:
      return status.causes().empty() ? "BadRequest" : "Invalid";
    case Code::NotFound:
      return "NotFound";
    case Code::AlreadyExists:
      return "AlreadyExists";
    case Code::Conflict:
    case Code::FailedPrecondition:
      return "Conflict";
    case Code::Forbidden:
      return "Forbidden";
    case Code::Unauthenticated:
      return "Unauthorized";
    case Code::ResourceExhausted:
      // The disk's limit is nobody's fault who asks: it may be asked again.
      return status.reason() == "DiskFull" ? "ServiceUnavailable" : "RequestEntityTooLarge";
    case Code::Gone:
      return "Expired";
    case Code::Unavailable:
      return "ServiceUnavailable";
    case Code::OutcomeUnknown:
      return "Timeout";
    case Code::Unimplemented:
      return "MethodNotAllowed";
    case Code::DataLoss:
    case Code::Internal:
      return "InternalError";
  }
  return "InternalError";
}

const ReasonCode& classify(const Status& status) {
  for (const ReasonCode& r : kReasons) {
    if (r.reason == status.reason()) return r;
  }
  const std::string_view fallback = default_reason(status);
  for (const ReasonCode& r : kReasons) {
    if (r.reason == fallback) return r;
  }
  static constexpr ReasonCode kInternal{"InternalError", 500};
  return kInternal;
}

/// Where upstream says in the message alone what was wrong with the request.
bool has_details(std::string_view reason) {
  return reason != "BadRequest" && reason != "MethodNotAllowed" && reason != "NotAcceptable" &&
         reason != "UnsupportedMediaType" && reason != kUnknownReason;
}

/// Where upstream leaves out which object it was.
bool is_about_no_object(const Status& status, const ReasonCode& reason) {
  if (reason.reason == "Timeout") return true;
  return !status.causes().empty() && status.causes().front().reason == "FieldManagerConflict";
}

Json details_of(const Status& status, const StatusSubject& about, const ReasonCode& reason) {
  const StatusSubject subject = is_about_no_object(status, reason) ? StatusSubject() : about;
  Json details = Json::object();
  if (!subject.name.empty()) details.set("name", subject.name);
  if (!subject.group.empty()) details.set("group", subject.group);
  const std::string& kind = reason.reason == "Invalid" ? subject.kind : subject.resource;
  if (!kind.empty()) details.set("kind", kind);
  if (!subject.uid.empty()) details.set("uid", subject.uid);
  if (!status.causes().empty()) {
    Json causes = Json::array();
    for (const base::Cause& cause : status.causes()) {
      Json one = Json::object({{"reason", cause.reason}, {"message", cause.message}});
      if (!cause.field.empty()) one.set("field", cause.field);
      causes.push_back(std::move(one));
    }
    details.set("causes", std::move(causes));
  }
  if (reason.http == 429 || reason.http == 503 || reason.reason == "ServerTimeout") {
    details.set("retryAfterSeconds", 1);
  }
  return details;
}

std::string named(const StatusSubject& s) {
  return qualified_resource(s.resource, s.group) + " \"" + s.name + "\"";
}
}  // namespace

std::string qualified_resource(std::string_view resource, std::string_view group) {
  std::string out(resource);
  if (!group.empty()) out.append(".").append(group);
  return out;
}

int http_code(const Status& status) {
  return status.ok() ? 200 : classify(status).http;
}

Json failure_object(const Status& status, const StatusSubject& subject) {
  const ReasonCode& reason = classify(status);
  Json object = Json::object({{"kind", "Status"},
                              {"apiVersion", "v1"},
                              {"metadata", Json::object()},
                              {"status", "Failure"},
                              {"message", status.message()},
                              {"reason", reason.reason == kUnknownReason ? "" : reason.reason}});
  if (has_details(reason.reason)) object.set("details", details_of(status, subject, reason));
  object.set("code", reason.http);
  return object;
}

Json success_object(const StatusSubject& s) {
  Json details = Json::object({{"name", s.name}, {"kind", s.resource}});
  if (!s.group.empty()) details.set("group", s.group);
  if (!s.uid.empty()) details.set("uid", s.uid);
  return Json::object({{"kind", "Status"},
                       {"apiVersion", "v1"},
                       {"metadata", Json::object()},
                       {"status", "Success"},
                       {"details", std::move(details)}});
}

StatusSubject options_subject(std::string_view kind) {
  StatusSubject s;
  s.group = "meta.k8s.io";
  s.kind = kind;
  return s;
}
Status unclassified(std::string message) {
  return {Code::Internal, std::string(kUnknownReason), std::move(message)};
}
Status bad_request(std::string message) {
  return {Code::InvalidArgument, "BadRequest", std::move(message)};
}
Status object_not_found(const StatusSubject& s) {
  return {Code::NotFound, named(s) + " not found"};
}
Status object_already_exists(const StatusSubject& s) {
  return {Code::AlreadyExists, named(s) + " already exists"};
}
Status object_conflict(const StatusSubject& s, std::string_view why) {
  return {Code::Conflict, "Operation cannot be fulfilled on " + named(s) + ": " + std::string(why)};
}
Status object_modified(const StatusSubject& s) {
  return object_conflict(s,
                         "the object has been modified; please apply your changes to the latest "
                         "version and try again");
}
Status forbidden(const StatusSubject& s, std::string_view why) {
  std::string what = qualified_resource(s.resource, s.group);
  if (!s.name.empty()) what = named(s);
  return {Code::Forbidden, what + " is forbidden: " + std::string(why)};
}
Status invalid_field(const StatusSubject& s, std::string reason, std::string field,
                     std::string message) {
  Status status(Code::InvalidArgument, "Invalid",
                s.kind + (s.group.empty() ? "" : "." + s.group) + " \"" + s.name +
                    "\" is invalid: " + field + ": " + message);
  status.add_cause({std::move(reason), std::move(field), std::move(message)});
  return status;
}
Status expired(std::string_view message) {
  return {Code::Gone, "Expired", std::string(message)};
}
Status method_not_allowed(std::string_view what) {
  return {Code::Unimplemented, "MethodNotAllowed",
          "the server does not allow this method on the requested resource: " + std::string(what)};
}
Status not_acceptable(std::string_view supported) {
  return {Code::Unimplemented, "NotAcceptable",
          "only the following media types are accepted: " + std::string(supported)};
}
Status unsupported_media_type(std::string_view supported) {
  return {Code::Unimplemented, "UnsupportedMediaType",
          "the body of the request was in an unknown format - accepted media types include: " +
              std::string(supported)};
}
Status no_such_path() {
  return {Code::NotFound, "the server could not find the requested resource"};
}

}  // namespace pelton::apiserver
