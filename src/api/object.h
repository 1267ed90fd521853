// SPDX-License-Identifier: Apache-2.0
// What every object of the API has: metadata, owners, conditions.
//
// Free functions over base::Json; reads never fail (absent is empty). Pure.
#pragma once
#include <string>
#include <string_view>

#include "api/registry.h"
#include "base/json.h"
#include "base/time.h"

namespace pelton::api {

/// Names one object. An empty uid means: whichever has the name now.
struct ObjectRef {
  GroupVersionKind gvk;
  std::string namespace_name;  ///< "" for cluster-scoped kinds
  std::string name;
  std::string uid;
  auto operator<=>(const ObjectRef&) const = default;
  /// "Pod default/a", for messages.
  std::string to_string() const;
};

ObjectRef ref_of(const base::Json& object);

const std::string& name_of(const base::Json& object);
const std::string& namespace_of(const base::Json& object);
const std::string& uid_of(const base::Json& object);
const std::string& resource_version_of(const base::Json& object);
int64_t generation_of(const base::Json& object);
const std::string& label_of(const base::Json& object, std::string_view key);  ///< "" where absent
const std::string& annotation_of(const base::Json& object, std::string_view key);
const base::Json& labels_of(const base::Json& object);       ///< an object or null
const base::Json& annotations_of(const base::Json& object);  ///< an object or null
/// metadata.deletionTimestamp is set.
bool is_being_deleted(const base::Json& object);
bool has_finalizer(const base::Json& object, std::string_view finalizer);
/// nullopt-like: Instant() (1970) where absent or unreadable.
base::Instant creation_time_of(const base::Json& object);
base::Instant deletion_time_of(const base::Json& object);

/// The owner reference with controller: true, or nullptr.
const base::Json* controller_of(const base::Json& object);
/// Whether `owner` (by uid) controls the object.
bool is_controlled_by(const base::Json& object, const base::Json& owner);
/// {apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true}.
base::Json make_controller_reference(const base::Json& owner);
/// apiVersion, kind, name, namespace, uid, resourceVersion: for Event.involvedObject.
base::Json make_object_reference(const base::Json& object);

/// The entry of status.conditions of that type, or nullptr.
const base::Json* find_condition(const base::Json& object, std::string_view type);
/// Its status is "True".
bool is_condition_true(const base::Json& object, std::string_view type);

struct Condition {
  std::string type;
  std::string status;  ///< "True", "False", "Unknown"
  std::string reason;
  std::string message;
};
/// Adds or replaces the entry of status.conditions; lastTransitionTime becomes `now` only where the
/// status changes. Returns whether anything changed.
bool set_condition(base::Json& object, const Condition& condition, base::Instant now);

}  // namespace pelton::api
