// SPDX-License-Identifier: Apache-2.0
// Errors as Kubernetes clients know them: the Status object, its reason and its HTTP code, and the
// wording that kubectl and client-go users have seen before.
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace pelton::apiserver {

/// What a failed request was about; goes into Status.details. All may be empty.
struct StatusSubject {
  std::string group;
  std::string resource;  ///< plural, "pods"
  std::string kind;      ///< "Pod": stands in details.kind where the object itself is invalid
  std::string name;
  std::string uid;
};

/// "pods", "jobs.batch": how Kubernetes names a resource in a message.
std::string qualified_resource(std::string_view resource, std::string_view group);

/// The HTTP code that goes with the status: its reason where that is a Kubernetes reason, else its
/// code. 200 for Ok.
int http_code(const base::Status& status);

/// {"kind":"Status","apiVersion":"v1","status":"Failure",…}. The status must not be Ok. As
/// upstream's, a bad request has no details: its message says all.
base::Json failure_object(const base::Status& status, const StatusSubject& subject);

/// The Status that answers a delete which removed the object.
base::Json success_object(const StatusSubject& subject);

/// What is invalid where a query parameter is: "ListOptions", "DeleteOptions", …
StatusSubject options_subject(std::string_view kind);

// Messages as upstream words them.
base::Status bad_request(std::string message);
/// 500 without a reason: what upstream answers where it has none.
base::Status unclassified(std::string message);
base::Status object_not_found(const StatusSubject& s);
base::Status object_already_exists(const StatusSubject& s);
/// 409: "Operation cannot be fulfilled on pods "x": WHY".
base::Status object_conflict(const StatusSubject& s, std::string_view why);
/// The 409 of optimistic locking.
base::Status object_modified(const StatusSubject& s);
base::Status forbidden(const StatusSubject& s, std::string_view why);
/// One cause of an invalid object; reason "FieldValueInvalid" and the like.
base::Status invalid_field(const StatusSubject& s, std::string reason, std::string field,
                           std::string message);
/// 410, reason Expired: the client lists anew.
base::Status expired(std::string_view message);
base::Status method_not_allowed(std::string_view what);
base::Status not_acceptable(std::string_view supported);
base::Status unsupported_media_type(std::string_view supported);
/// 404 of a path that leads nowhere.
base::Status no_such_path();

}  // namespace pelton::apiserver
