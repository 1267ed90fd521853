// SPDX-License-Identifier: Apache-2.0
// PUT and PATCH of an object, its status and a Namespace's finalizers.
#include "api/defaults.h"
#include "api/object.h"
#include "api/patch.h"
#include "api/validate.h"
#include "apiserver/body.h"
#include "apiserver/core.h"
#include "apiserver/definitions.h"
#include "apiserver/deletion.h"
#include "apiserver/write.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
bool is_plural(const Call& call, std::string_view group, std::string_view plural) {
  return call.resource->group == group && call.resource->plural == plural;
}

/// Kinds that upstream lets nobody overwrite without saying what was read.
bool needs_version(const Call& call) {
  return is_plural(call, "coordination.k8s.io", "leases") ||
         is_plural(call, "jobset.x-k8s.io", "jobsets") ||
         is_plural(call, "apiextensions.k8s.io", "customresourcedefinitions") ||
         call.resource->custom != nullptr;
}

/// Optimistic locking: what the client says it changed must be what there is.
Status check_versions(const Call& call, const Json& before, const Json& after) {
  const std::string& uid = api::uid_of(after);
  if (!uid.empty() && uid != api::uid_of(before)) {
    return object_conflict(call.subject, "Precondition failed: UID in precondition: " + uid +
                                             ", UID in object meta: " + api::uid_of(before));
  }
  const std::string& version = api::resource_version_of(after);
  if (version.empty()) {
    if (!needs_version(call)) return base::ok();
    return invalid_field(call.subject, "FieldValueInvalid", "metadata.resourceVersion",
                         "Invalid value: 0: must be specified for an update");
  }
  if (version != api::resource_version_of(before)) return object_modified(call.subject);
  return base::ok();
}

Status check_finalizers(const Call& call, const Json& before, const Json& after) {
  if (!api::is_being_deleted(before)) return base::ok();
  for (const Json& finalizer : after["metadata"]["finalizers"].items()) {
    if (api::has_finalizer(before, finalizer.as_string())) continue;
    return invalid_field(call.subject, "FieldValueForbidden", "metadata.finalizers",
                         "Forbidden: no new finalizers can be added if the object is being "
                         "deleted, found new finalizers []string{\"" +
                             finalizer.as_string() + "\"}");
  }
  return base::ok();
}

/// What the server alone decides stays as it is stored.
void keep_server_fields(const Json& before, Json& after) {
  Json& metadata = after.child("metadata");
  const Json& old = before["metadata"];
  for (const char* field : {"uid", "creationTimestamp", "deletionTimestamp", "generateName",
                            "deletionGracePeriodSeconds", "resourceVersion", "name", "namespace"}) {
    if (const Json* value = old.find(field)) {
      metadata.set(field, *value);
    } else {
      metadata.erase(field);
    }
  }
}

/// A namespace stays until custom objects are gone too, of which its controller does not know.
Status check_custom_objects_gone(const CorePtr& core, const Call& call) {
  const size_t left = count_custom_objects(core, call.path.name);
  if (left == 0) return base::ok();
  return object_conflict(call.subject, std::to_string(left) +
                                           " objects of custom kinds are still in the namespace; "
                                           "they are being deleted, try again");
}

/// From what the client wants to what is stored.
Result<Change> admit_update(const CorePtr& core, Call& call, const Json& before, Wanted wanted) {
  const base::Instant now = core->clock.now();
  const api::ResourceInfo& resource = *call.resource;
  Json after = std::move(wanted.object);
  Json owners = after["metadata"]["managedFields"];
  PELTON_TRY(admit_node(call.request.identity, call.access, before));
  PELTON_TRY(check_versions(call, before, after));
  if (call.path.subresource == "finalize") {
    Json finalizers = after["spec"]["finalizers"];
    if (finalizers.empty()) PELTON_TRY(check_custom_objects_gone(core, call));
    after = before;
    if (finalizers.empty()) {
      after.make("spec").erase("finalizers");
    } else {
      after.make("spec").set("finalizers", std::move(finalizers));
    }
  } else {
    keep_server_fields(before, after);
    api::apply_defaults(resource, after, false);
    if (is_plural(call, "", "services") && !call.is_status()) keep_cluster_ip(before, after);
    api::prepare_for_update(resource, before, after, call.is_status());
    admit_definition(core, call, after);
    PELTON_TRY(check_finalizers(call, before, after));
    PELTON_TRY(call.is_status() ? api::validate_status_update(resource, before, after)
                                : api::validate_update(resource, before, after));
  }
  if (wanted.has_owners) {
    Json& metadata = after.child("metadata");
    metadata.erase("managedFields");
    if (!owners.empty()) metadata.set("managedFields", std::move(owners));
  } else {
    track_update(resource, before, after, owners, writer_of(call, now), false);
  }
  api::fields::keep_times_of_no_change(before, after);
  Change change;
  if (is_deletion_finished(resource, after)) {
    change.act = Change::Act::Remove;
  } else {
    change.act = after == before ? Change::Act::Keep : Change::Act::Write;
  }
  change.object = std::move(after);
  return change;
}

/// Custom kinds have no tables to merge strategically by.
Status check_patch_type(const Call& call, const std::string& type) {
  const bool has_strategic = call.resource->custom == nullptr;
  if (type == "application/json-patch+json" || type == "application/merge-patch+json" ||
      (has_strategic && type == "application/strategic-merge-patch+json")) {
    return base::ok();
  }
  return unsupported_media_type(
      std::string("application/json-patch+json, application/merge-patch+json, ") +
      (has_strategic ? "application/strategic-merge-patch+json, " : "") +
      "application/apply-patch+yaml");
}

ObjectName stored_name(const Call& call) {
  return {call.resource->storage, call.resource->is_namespaced ? call.path.ns : "", call.path.name};
}

Result<Json> apply_patch(const Call& call, const std::string& type, const Json& before,
                         const Json& patch) {
  if (type == "application/json-patch+json") return api::json_patch(before, patch);
  if (!patch.is_object()) return bad_request("a patch of this type must be a JSON object");
  if (type == "application/merge-patch+json") return api::merge_patch(before, patch);
  return api::strategic_merge_patch(before, patch, *call.resource->type);
}
}  // namespace

void update_object(const CorePtr& core, const CallPtr& call,
                   std::function<Result<Wanted>(const Json& before)> make,
                   std::function<void()> absent) {
  const Decide decide = [core, call, make = std::move(make)](const Json& stored) -> Result<Change> {
    const api::ResourceInfo& resource = *call->resource;
    const Json before = api::convert(stored, resource);
    PELTON_ASSIGN(Wanted wanted, make(before));
    PELTON_ASSIGN(Change change, admit_update(core, *call, before, std::move(wanted)));
    change.object = api::convert(change.object, *resource.storage);
    return change;
  };
  modify(core, stored_name(*call), call->is_dry_run, decide,
         [core, call, absent = std::move(absent)](Result<Change> change) {
           if (change.ok()) return answer_object(core, *call, 200, change->object);
           if (absent && change.error().code() == base::Code::NotFound) return absent();
           answer_failure(*call, change.error());
         });
}

void handle_replace(const CorePtr& core, const CallPtr& call) {
  Status status = read_write_options(*call);
  if (!status.ok()) return answer_failure(*call, status);
  Result<Json> body = read_body(call->request);
  if (!body.ok()) return answer_failure(*call, body.error());
  status = admit_object(*call, *body);
  if (!status.ok()) return answer_failure(*call, status);
  update_object(core, call, [wanted = std::move(body).value()](const Json&) -> Result<Wanted> {
    return Wanted{wanted};
  });
}

void handle_patch(const CorePtr& core, const CallPtr& call) {
  Status status = read_write_options(*call);
  if (!status.ok()) return answer_failure(*call, status);
  const std::string type = media_type(call->request.headers.get("Content-Type"));
  if (type == "application/apply-patch+yaml") return handle_apply(core, call);
  status = check_patch_type(*call, type);
  if (!status.ok()) return answer_failure(*call, status);
  Result<Json> patch = read_body(call->request);
  if (!patch.ok()) return answer_failure(*call, patch.error());
  update_object(
      core, call,
      [call, type, body = std::move(patch).value()](const Json& before) -> Result<Wanted> {
        call->warnings.resize(call->lasting_warnings);  // an earlier attempt may have left some
        PELTON_ASSIGN(Json object, apply_patch(*call, type, before, body));
        PELTON_TRY(admit_object(*call, object));
        return Wanted{std::move(object)};
      });
}

}  // namespace pelton::apiserver
