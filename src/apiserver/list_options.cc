// SPDX-License-Identifier: Apache-2.0
#include "apiserver/list_options.h"

namespace pelton::apiserver {

using base::Result;
using base::Status;

namespace {
Status forbidden_option(std::string field, const std::string& why) {
  Status status(base::Code::InvalidArgument, "Invalid",
                "ListOptions.meta.k8s.io \"\" is invalid: " + field + ": Forbidden: " + why);
  status.add_cause({"FieldValueForbidden", std::move(field), "Forbidden: " + why});
  return status;
}

Result<store::Revision> read_version(const Call& call) {
  Result<std::optional<int64_t>> number = call.query.integer("resourceVersion");
  if (!number.ok()) {
    return bad_request("Invalid value for resourceVersion: \"" + call.query.get("resourceVersion") +
                       "\": want what a list or watch gave");
  }
  return static_cast<store::Revision>(number->value_or(0));
}

Status check_match(const Call& call) {
  const std::string& match = call.query.get("resourceVersionMatch");
  if (match.empty() || match == "Exact" || match == "NotOlderThan") return base::ok();
  Status status(
      base::Code::InvalidArgument, "Invalid",
      "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Unsupported value: \"" +
          match + "\": supported values: \"Exact\", \"NotOlderThan\"");
  status.add_cause(
      {"FieldValueNotSupported", "resourceVersionMatch", "Unsupported value: \"" + match + "\""});
  return status;
}
}  // namespace

Result<ListRequest> read_list_request(const Call& call) {
  ListRequest out;
  PELTON_TRY(check_match(call));
  PELTON_ASSIGN(const store::Revision version, read_version(call));
  PELTON_ASSIGN(const std::optional<int64_t> limit, call.query.integer("limit"));
  const std::string& match = call.query.get("resourceVersionMatch");
  out.limit = static_cast<size_t>(limit.value_or(0));
  out.continue_token = call.query.get("continue");
  if (call.query.has("sendInitialEvents")) {
    return forbidden_option("sendInitialEvents", "sendInitialEvents is forbidden for list");
  }
  if (!match.empty() && !call.query.has("resourceVersion")) {
    return forbidden_option("resourceVersionMatch",
                            "resourceVersionMatch is forbidden unless resourceVersion is provided");
  }
  if (!out.continue_token.empty() && (version != 0 || !match.empty())) {
    return bad_request("specifying resource version is not allowed when using continue");
  }
  if (match == "Exact") {
    if (version == 0) {
      return forbidden_option("resourceVersionMatch",
                              "resourceVersionMatch \"Exact\" is forbidden for resourceVersion "
                              "\"0\"");
    }
    out.at = version;
  }
  out.not_before = version;
  return out;
}

Result<WatchRequest> read_watch_request(const Call& call) {
  WatchRequest out;
  PELTON_TRY(check_match(call));
  PELTON_ASSIGN(const store::Revision version, read_version(call));
  const std::optional<bool> bookmarks = call.query.boolean("allowWatchBookmarks");
  const std::optional<bool> initial = call.query.boolean("sendInitialEvents");
  PELTON_ASSIGN(const std::optional<int64_t> timeout, call.query.integer("timeoutSeconds"));
  const std::string& match = call.query.get("resourceVersionMatch");
  out.allows_bookmarks = bookmarks.value_or(false);
  out.timeout_seconds = timeout.value_or(0);
  if (initial.has_value() && match != "NotOlderThan") {
    return forbidden_option("resourceVersionMatch",
                            "sendInitialEvents requires setting resourceVersionMatch to "
                            "NotOlderThan");
  }
  if (!initial.has_value() && !match.empty()) {
    return forbidden_option("resourceVersionMatch",
                            "resourceVersionMatch is forbidden for watch unless sendInitialEvents "
                            "is provided");
  }
  if (initial.has_value()) {
    out.has_initial_events = *initial;
    out.has_end_of_initial_bookmark = *initial && out.allows_bookmarks;
    out.not_before = version;
    out.from = *initial ? 0 : version;
  } else {
    out.has_initial_events = version == 0;
    out.from = version;
  }
  return out;
}

Status check_not_future(store::Revision wanted, store::Revision newest) {
  if (wanted <= newest) return base::ok();
  Status status(base::Code::OutcomeUnknown, "Timeout",
                "Too large resource version: " + std::to_string(wanted) +
                    ", current: " + std::to_string(newest));
  status.add_cause({"ResourceVersionTooLarge", "", "Too large resource version"});
  return status;
}

Status list_failure(const Status& error, const ListRequest& list, store::Revision newest) {
  if (error.code() == base::Code::Gone) {
    if (list.continue_token.empty()) {
      return expired("The resourceVersion for the provided list is too old.");
    }
    return expired(
        "The provided continue parameter is too old to display a consistent list result. You can "
        "start a new list without the continue parameter, or use the continue token in this "
        "response to retrieve the remainder of the results. Continuing with the provided token "
        "results in an inconsistent list - objects that were created, modified, or deleted between "
        "the time the first chunk was returned and now may show up in the list.");
  }
  if (error.code() == base::Code::FailedPrecondition) return check_not_future(list.at, newest);
  if (error.code() == base::Code::InvalidArgument) {
    return bad_request("continue key is not valid: " + error.message());
  }
  return error;
}

}  // namespace pelton::apiserver
