// SPDX-License-Identifier: Apache-2.0
// Kubernetes' errors in our words.
#include <utility>

#include "client/client.h"

namespace pelton::client {

using base::Code;
using base::Json;
using base::Status;

namespace {

Code code_of_reason(std::string_view reason) {
  static constexpr std::pair<std::string_view, Code> kReasons[] = {
      {"Unauthorized", Code::Unauthenticated},
      {"Forbidden", Code::Forbidden},
      {"NotFound", Code::NotFound},
      {"AlreadyExists", Code::AlreadyExists},
      {"Conflict", Code::Conflict},
      {"Gone", Code::Gone},
      {"Expired", Code::Gone},
      {"Invalid", Code::InvalidArgument},
      {"BadRequest", Code::InvalidArgument},
      {"NotAcceptable", Code::InvalidArgument},
      {"UnsupportedMediaType", Code::InvalidArgument},
      {"RequestEntityTooLarge", Code::ResourceExhausted},
      {"MethodNotAllowed", Code::Unimplemented},
      {"ServerTimeout", Code::Unavailable},
      {"TooManyRequests", Code::Unavailable},
      {"ServiceUnavailable", Code::Unavailable},
      {"Timeout", Code::OutcomeUnknown},
  };
  for (const auto& [name, code] : kReasons) {
    if (name == reason) return code;
  }
  return Code::Ok;
}

Code code_of_http(int http_status) {
  switch (http_status) {
    case 400:
    case 406:
    case 415:
    case 422:
      return Code::InvalidArgument;
    case 401:
      return Code::Unauthenticated;
    case 403:
      return Code::Forbidden;
    case 404:
      return Code::NotFound;
    case 405:
      return Code::Unimplemented;
    case 409:
      return Code::Conflict;
    case 410:
      return Code::Gone;
    case 413:
      return Code::ResourceExhausted;
    case 429:
    case 503:
      return Code::Unavailable;
    case 504:
      return Code::OutcomeUnknown;
    default:
      return Code::Internal;
  }
}

/// A server that failed in the midst of a write may have done it; a read can always be repeated.
Code settle(Code code, bool is_write) {
  if (is_write) return code == Code::Internal ? Code::OutcomeUnknown : code;
  return code == Code::OutcomeUnknown ? Code::Unavailable : code;
}

}  // namespace

Status status_from_object(const Json& object, bool is_write) {
  const std::string& reason = object["reason"].as_string();
  Code code = code_of_reason(reason);
  if (code == Code::Ok) code = code_of_http(static_cast<int>(object["code"].as_int(500)));
  Status status(settle(code, is_write), reason, object["message"].as_string());
  for (const Json& cause : object["details"]["causes"].items()) {
    status.add_cause(
        {cause["reason"].as_string(), cause["field"].as_string(), cause["message"].as_string()});
  }
  return status;
}

Status status_from_response(int http_status, std::string_view body, bool is_write) {
  auto parsed = Json::parse(body);
  if (parsed.ok() && (*parsed)["kind"].as_string() == "Status") {
    Json object = std::move(*parsed);
    if (!object.contains("code")) object.set("code", http_status);
    return status_from_object(object, is_write);
  }
  return Status(settle(code_of_http(http_status), is_write),
                "the server answered HTTP " + std::to_string(http_status) + ": " +
                    std::string(body.substr(0, 200)));
}

}  // namespace pelton::client
