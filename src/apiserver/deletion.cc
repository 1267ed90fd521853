// SPDX-License-Identifier: Apache-2.0
#include "apiserver/deletion.h"

#include <algorithm>

#include "api/custom/establish.h"
#include "api/object.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
constexpr std::string_view kForeground = "foregroundDeletion";
constexpr std::string_view kOrphan = "orphan";

bool is_pod(const api::ResourceInfo& r) {
  return r.group.empty() && r.plural == "pods";
}
bool is_namespace(const api::ResourceInfo& r) {
  return r.group.empty() && r.plural == "namespaces";
}

StatusSubject subject_of(const api::ResourceInfo& r, const Json& object) {
  StatusSubject s;
  s.group = r.group;
  s.resource = r.plural;
  s.kind = r.kind;
  s.name = api::name_of(object);
  return s;
}

Status check_preconditions(const api::ResourceInfo& r, const Json& object,
                           const DeleteOptions& options) {
  const std::string& uid = api::uid_of(object);
  if (!options.uid.empty() && options.uid != uid) {
    return object_conflict(subject_of(r, object), "Precondition failed: UID in precondition: " +
                                                      options.uid + ", UID in object meta: " + uid);
  }
  const std::string& version = api::resource_version_of(object);
  if (!options.resource_version.empty() && options.resource_version != version) {
    return object_conflict(
        subject_of(r, object),
        "Precondition failed: ResourceVersion in precondition: " + options.resource_version +
            ", ResourceVersion in object meta: " + version);
  }
  return base::ok();
}

/// How long a pod may still run; 0 where nobody has to stop anything.
int64_t pod_grace(const Json& pod, const DeleteOptions& options) {
  const Json& spec = pod["spec"];
  const std::string& phase = pod["status"]["phase"].as_string();
  if (spec["nodeName"].as_string().empty() || phase == "Succeeded" || phase == "Failed") return 0;
  if (options.grace_seconds) return *options.grace_seconds;
  return std::max<int64_t>(spec["terminationGracePeriodSeconds"].as_int(30), 0);
}

/// Sets what the propagation policy asks of the garbage collector. Returns whether it changed.
bool set_cascade_finalizers(Json& metadata, const std::string& policy) {
  if (policy.empty()) return false;
  std::vector<std::string> wanted;
  for (const Json& f : metadata["finalizers"].items()) {
    if (f.as_string() != kForeground && f.as_string() != kOrphan) wanted.push_back(f.as_string());
  }
  if (policy == "Foreground") wanted.emplace_back(kForeground);
  if (policy == "Orphan") wanted.emplace_back(kOrphan);
  Json list = Json::array();
  for (std::string& f : wanted) list.push_back(std::move(f));
  const Json before = metadata["finalizers"];
  if (list.empty()) {
    metadata.erase("finalizers");
    return !before.empty();
  }
  // Same members in another order are no change.
  const bool same =
      before.size() == list.size() &&
      std::is_permutation(before.items().begin(), before.items().end(), list.items().begin());
  if (same) return false;
  metadata.set("finalizers", std::move(list));
  return true;
}

/// Marks the object as going, or shortens the time that a marked one has. Whether it changed.
bool mark(const api::ResourceInfo& r, Json& object, int64_t grace, base::Instant now) {
  Json& metadata = object.child("metadata");
  const bool is_marked = !metadata["deletionTimestamp"].as_string().empty();
  if (is_marked && grace >= metadata["deletionGracePeriodSeconds"].as_int()) return false;
  metadata.set("deletionTimestamp", base::format_time(now + base::Duration::seconds(grace)));
  if (!is_namespace(r)) metadata.set("deletionGracePeriodSeconds", grace);
  if (!is_marked && metadata["generation"].as_int() > 0) {
    metadata.set("generation", metadata["generation"].as_int() + 1);
  }
  if (is_namespace(r)) object.make("status").set("phase", "Terminating");
  return true;
}
}  // namespace

bool is_deletion_finished(const api::ResourceInfo& resource, const Json& object) {
  const Json& metadata = object["metadata"];
  if (metadata["deletionTimestamp"].as_string().empty()) return false;
  if (!metadata["finalizers"].empty()) return false;
  if (is_namespace(resource)) return object["spec"]["finalizers"].empty();
  return metadata["deletionGracePeriodSeconds"].as_int() == 0;
}

Result<DeletionStep> decide_deletion(const api::ResourceInfo& resource, const Json& object,
                                     const DeleteOptions& options, base::Instant now) {
  PELTON_TRY(check_preconditions(resource, object, options));
  DeletionStep step;
  step.object = object;
  if (api::custom::is_definition(object) && !api::is_being_deleted(object)) {
    api::custom::mark_terminating(step.object, now);
  }
  const int64_t grace = is_pod(resource) ? pod_grace(object, options) : 0;
  // No garbage collector looks at custom objects: nobody would take these finalizers off again.
  const std::string policy = resource.custom != nullptr ? "" : options.propagation_policy;
  bool changed = set_cascade_finalizers(step.object.child("metadata"), policy);
  changed |= mark(resource, step.object, grace, now);
  if (is_deletion_finished(resource, step.object)) {
    step.act = DeletionStep::Act::Remove;
    // What goes at once was never marked; only of a pod is the mark seen, in its last event.
    if (!is_pod(resource)) step.object = object;
  } else {
    step.act = changed ? DeletionStep::Act::Write : DeletionStep::Act::Keep;
  }
  return step;
}

Status check_propagation_policy(const std::string& policy) {
  if (policy.empty() || policy == "Background" || policy == "Foreground" || policy == "Orphan") {
    return base::ok();
  }
  StatusSubject subject = options_subject("DeleteOptions");
  return invalid_field(subject, "FieldValueNotSupported", "propagationPolicy",
                       "Unsupported value: \"" + policy +
                           "\": supported values: \"Background\", \"Foreground\", \"Orphan\"");
}

Status read_delete_options(const Json& body, DeleteOptions& options) {
  if (body.is_null()) return base::ok();
  const std::string& kind = body["kind"].as_string();
  if (!body.is_object() || (!kind.empty() && kind != "DeleteOptions")) {
    return bad_request("the body of a delete must be of kind DeleteOptions");
  }
  if (const Json* grace = body.find("gracePeriodSeconds"); grace != nullptr && !grace->is_null()) {
    if (!grace->is_int() || grace->as_int() < 0) {
      return bad_request("gracePeriodSeconds: want an integer that is not negative");
    }
    options.grace_seconds = grace->as_int();
  }
  if (const std::string& policy = body["propagationPolicy"].as_string(); !policy.empty()) {
    if (!body["orphanDependents"].is_null()) {
      return invalid_field(options_subject("DeleteOptions"), "FieldValueInvalid",
                           "propagationPolicy",
                           "Invalid value: \"" + policy +
                               "\": orphanDependents and propagationPolicy cannot be both set");
    }
    options.propagation_policy = policy;
  } else if (const Json* orphan = body.find("orphanDependents"); orphan && orphan->is_bool()) {
    options.propagation_policy = orphan->as_bool() ? "Orphan" : "Background";
  }
  options.uid = body["preconditions"]["uid"].as_string();
  options.resource_version = body["preconditions"]["resourceVersion"].as_string();
  return check_propagation_policy(options.propagation_policy);
}

}  // namespace pelton::apiserver
