// SPDX-License-Identifier: Apache-2.0
#include "api/object.h"

#include <algorithm>

namespace pelton::api {
namespace {

using base::Instant;
using base::Json;

Instant time_at(const Json& value) {
  auto time = base::parse_time(value.as_string());
  return time.ok() ? *time : Instant();
}

Json reference(const Json& object) {
  return Json::object({{"apiVersion", object["apiVersion"]},
                       {"kind", object["kind"]},
                       {"name", object["metadata"]["name"]},
                       {"uid", object["metadata"]["uid"]}});
}

}  // namespace

std::string ObjectRef::to_string() const {
  std::string text = gvk.kind + " ";
  if (!namespace_name.empty()) text += namespace_name + "/";
  return text + name;
}

ObjectRef ref_of(const Json& object) {
  return {gvk_of(object), namespace_of(object), name_of(object), uid_of(object)};
}

const std::string& name_of(const Json& object) {
  return object["metadata"]["name"].as_string();
}

const std::string& namespace_of(const Json& object) {
  return object["metadata"]["namespace"].as_string();
}

const std::string& uid_of(const Json& object) {
  return object["metadata"]["uid"].as_string();
}

const std::string& resource_version_of(const Json& object) {
  return object["metadata"]["resourceVersion"].as_string();
}

int64_t generation_of(const Json& object) {
  return object["metadata"]["generation"].as_int();
}

const std::string& label_of(const Json& object, std::string_view key) {
  return labels_of(object)[key].as_string();
}

const std::string& annotation_of(const Json& object, std::string_view key) {
  return annotations_of(object)[key].as_string();
}

const Json& labels_of(const Json& object) {
  return object["metadata"]["labels"];
}

const Json& annotations_of(const Json& object) {
  return object["metadata"]["annotations"];
}

bool is_being_deleted(const Json& object) {
  return object["metadata"]["deletionTimestamp"].is_string();
}

bool has_finalizer(const Json& object, std::string_view finalizer) {
  const Json::Array& all = object["metadata"]["finalizers"].items();
  return std::any_of(all.begin(), all.end(),
                     [&](const Json& f) { return f.as_string() == finalizer; });
}

Instant creation_time_of(const Json& object) {
  return time_at(object["metadata"]["creationTimestamp"]);
}

Instant deletion_time_of(const Json& object) {
  return time_at(object["metadata"]["deletionTimestamp"]);
}

const Json* controller_of(const Json& object) {
  for (const Json& owner : object["metadata"]["ownerReferences"].items()) {
    if (owner["controller"].as_bool()) return &owner;
  }
  return nullptr;
}

bool is_controlled_by(const Json& object, const Json& owner) {
  const Json* controller = controller_of(object);
  return controller && !uid_of(owner).empty() && (*controller)["uid"].as_string() == uid_of(owner);
}

Json make_controller_reference(const Json& owner) {
  Json result = reference(owner);
  result.set("controller", true);
  result.set("blockOwnerDeletion", true);
  return result;
}

Json make_object_reference(const Json& object) {
  Json result = reference(object);
  for (const char* field : {"namespace", "resourceVersion"}) {
    if (const Json* value = object["metadata"].find(field)) result.set(field, *value);
  }
  return result;
}

const Json* find_condition(const Json& object, std::string_view type) {
  for (const Json& condition : object["status"]["conditions"].items()) {
    if (condition["type"].as_string() == type) return &condition;
  }
  return nullptr;
}

bool is_condition_true(const Json& object, std::string_view type) {
  const Json* condition = find_condition(object, type);
  return condition && (*condition)["status"].as_string() == "True";
}

bool set_condition(Json& object, const Condition& condition, Instant now) {
  Json& list = object.child("status").child("conditions");
  for (Json& old : list.mutable_items()) {
    if (old["type"].as_string() != condition.type) continue;
    const Json before = old;
    if (old["status"].as_string() != condition.status) {
      old.set("lastTransitionTime", base::format_time(now));
    }
    old.set("status", condition.status);
    old.set("reason", condition.reason);
    old.set("message", condition.message);
    return !(old == before);
  }
  list.push_back(Json::object({{"type", condition.type},
                               {"status", condition.status},
                               {"reason", condition.reason},
                               {"message", condition.message},
                               {"lastTransitionTime", base::format_time(now)}}));
  return true;
}

}  // namespace pelton::api
