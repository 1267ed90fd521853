// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/garbage/decide_garbage.h"

#include <algorithm>

#include "api/object.h"
#include "decide/workload/job/pods.h"

namespace pelton::decide::workload {
namespace {

using base::Json;

/// The object without its references to that owner.
Json without_owner(Json object, const std::string& owner_uid) {
  Json kept = Json::array();
  for (const Json& reference : object["metadata"]["ownerReferences"].items()) {
    if (reference["uid"].as_string() != owner_uid) kept.push_back(reference);
  }
  Json& metadata = object.child("metadata");
  if (kept.empty()) {
    metadata.erase("ownerReferences");
  } else {
    metadata.set("ownerReferences", std::move(kept));
  }
  return object;
}

bool blocks(const Json& dependent, const std::string& owner_uid) {
  for (const Json& reference : dependent["metadata"]["ownerReferences"].items()) {
    if (reference["uid"].as_string() == owner_uid && reference["blockOwnerDeletion"].as_bool()) {
      return true;
    }
  }
  return false;
}

/// The object waits with the finalizer until nothing that blocks it is left; each dependent decides
/// for itself to go (its owner waits for it).
void finish_foreground(const GarbageObserved& observed, Decision& out) {
  const std::string& uid = api::uid_of(*observed.object);
  const auto blocking =
      std::count_if(observed.dependents.begin(), observed.dependents.end(),
                    [&](const Json* dependent) { return blocks(*dependent, uid); });
  if (blocking > 0) {
    out.why = "waits until " + std::to_string(blocking) + " dependents are gone";
    return;
  }
  out.update(without_finalizer(*observed.object, kForegroundDeletion),
             "nothing that it owns is left");
}

void orphan_dependents(const GarbageObserved& observed, Decision& out) {
  const std::string& uid = api::uid_of(*observed.object);
  for (const Json* dependent : observed.dependents) {
    out.update(without_owner(*dependent, uid), "its owner is deleted and orphans it");
  }
  out.update(without_finalizer(*observed.object, kOrphan), "what it owned is orphaned");
}

/// Whether the object goes with its owners.
void follow_owners(const GarbageObserved& observed, Decision& out) {
  const Json& object = *observed.object;
  const auto& references = object["metadata"]["ownerReferences"].items();
  bool is_kept = false, is_waited_for = false, is_stale = false;
  Json next = object;
  for (size_t i = 0; i < references.size(); ++i) {
    const OwnerState state = i < observed.owners.size() ? observed.owners[i] : OwnerState::Unknown;
    const std::string uid = references[i]["uid"].as_string();
    if (state == OwnerState::Present || state == OwnerState::Unknown) {
      is_kept = true;
      continue;
    }
    is_waited_for = is_waited_for || state == OwnerState::WaitsForDependents;
    is_stale = true;
    next = without_owner(std::move(next), uid);
  }
  if (!is_stale) return;
  if (is_kept) {
    out.update(std::move(next), "some of its owners are gone, others are not");
    return;
  }
  const bool in_foreground = is_waited_for && !observed.dependents.empty();
  Action& action = out.remove(object, in_foreground ? "its owner waits for it and for what it owns"
                                                    : "its owners are gone");
  action.propagation = in_foreground ? "Foreground" : "Background";
}

}  // namespace

Decision decide_garbage(const GarbageObserved& observed) {
  Decision out;
  const Json& object = *observed.object;
  if (!api::is_being_deleted(object)) {
    follow_owners(observed, out);
  } else if (api::has_finalizer(object, kOrphan)) {
    orphan_dependents(observed, out);
  } else if (api::has_finalizer(object, kForegroundDeletion)) {
    finish_foreground(observed, out);
  }
  return out;
}

}  // namespace pelton::decide::workload
