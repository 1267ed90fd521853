// SPDX-License-Identifier: Apache-2.0
#include "control/garbage_reconciler.h"

#include <utility>

#include "api/object.h"
#include "control/served_kinds.h"
#include "control/workload_plan.h"
#include "decide/workload/garbage/decide_garbage.h"

namespace pelton::control {

using base::Json;
namespace workload = decide::workload;
using workload::OwnerState;

namespace {

Key key_of_object(const Json& object) {
  return {api::namespace_of(object), object["kind"].as_string() + "/" + api::name_of(object)};
}

/// Where an owner is: in the dependent's namespace, or in none.
const Json* find_owner(const Json& dependent, const Json& reference, const CacheView& view) {
  const std::string& kind = reference["kind"].as_string();
  const std::string space = is_namespaced_kind(kind) ? api::namespace_of(dependent) : "";
  const Json* owner = view.get(kind, space, reference["name"].as_string());
  const bool is_it = owner != nullptr && api::uid_of(*owner) == reference["uid"].as_string();
  return is_it ? owner : nullptr;
}

/// `needs_proof`: it is taken to be gone only because the view shows nothing for a long time.
OwnerState state_of_owner(const Json& dependent, const Json& reference, const CacheView& view,
                          base::Instant now, bool& needs_proof) {
  const Json* owner = find_owner(dependent, reference, view);
  if (owner != nullptr) {
    const bool is_waiting =
        api::is_being_deleted(*owner) && api::has_finalizer(*owner, workload::kForegroundDeletion);
    return is_waiting ? OwnerState::WaitsForDependents : OwnerState::Present;
  }
  // An owner exists before anything can name its uid. So a view that is newer than the dependent
  // shows it, unless it is gone.
  const std::string& kind = reference["kind"].as_string();
  const bool is_gone =
      is_view_past(view, kind, client::revision_of(dependent),
                   now - api::creation_time_of(dependent), base::Duration::seconds(10));
  needs_proof = view.last_seen(kind) < client::revision_of(dependent);
  return is_gone ? OwnerState::Gone : OwnerState::Unknown;
}

ConfirmAbsent proof_of_absence(const Json& dependent, const Json& reference) {
  const std::string& kind = reference["kind"].as_string();
  const std::string space = is_namespaced_kind(kind) ? api::namespace_of(dependent) : "";
  return {{kind, space, reference["name"].as_string()}, reference["uid"].as_string()};
}

std::vector<const Json*> dependents_of(const Json& owner, const CacheView& view) {
  std::vector<const Json*> dependents;
  for (const std::string& kind : view.kinds()) {
    for (const Json* object : view.list_owned_by(kind, api::uid_of(owner))) {
      dependents.push_back(object);
    }
  }
  return dependents;
}

}  // namespace

std::vector<std::string> GarbageReconciler::watched_kinds() const {
  std::vector<std::string> kinds = all_kinds();
  std::erase(kinds, "Event");
  return kinds;
}

Keys GarbageReconciler::keys_of(const Json& object, const CacheView& view) const {
  Keys keys;
  const Json& references = object["metadata"]["ownerReferences"];
  const Json* present =
      view.get(object["kind"].as_string(), api::namespace_of(object), api::name_of(object));
  const bool is_present = present != nullptr && api::uid_of(*present) == api::uid_of(object);
  const bool is_leaving = !is_present || api::is_being_deleted(*present);
  if (is_present && (is_leaving || !references.empty())) keys.push_back(key_of_object(object));
  if (is_leaving) {
    for (const Json* dependent : dependents_of(object, view)) {
      keys.push_back(key_of_object(*dependent));
    }
  }
  for (const Json& reference : references.items()) {
    const Json* owner = find_owner(object, reference, view);
    if (owner != nullptr && api::is_being_deleted(*owner)) keys.push_back(key_of_object(*owner));
  }
  return keys;
}

Plan GarbageReconciler::reconcile(const Key& key, const CacheView& view, base::Instant now) const {
  const size_t slash = key.name.find('/');
  workload::GarbageObserved observed;
  observed.object =
      view.get(key.name.substr(0, slash), key.namespace_name, key.name.substr(slash + 1));
  if (observed.object == nullptr) return {};
  const Json& object = *observed.object;
  bool is_unsure = false;
  std::vector<Command> proofs;
  for (const Json& reference : object["metadata"]["ownerReferences"].items()) {
    bool needs_proof = false;
    observed.owners.push_back(state_of_owner(object, reference, view, now, needs_proof));
    if (observed.owners.back() == OwnerState::Gone && needs_proof) {
      proofs.emplace_back(proof_of_absence(object, reference));
    }
    is_unsure = is_unsure || (observed.owners.back() == OwnerState::Unknown &&
                              view.is_synced(reference["kind"].as_string()));
  }
  observed.dependents = dependents_of(object, view);
  workload::Decision decision = workload::decide_garbage(observed);
  if (is_unsure) decision.look_again_in(base::Duration::milliseconds(500));
  Plan plan = to_plan(std::move(decision));
  // A watch that was cut for long shows no owner that was made meanwhile: its children live.
  if (!plan.commands.empty()) {
    plan.commands.insert(plan.commands.begin(), proofs.begin(), proofs.end());
  }
  return plan;
}

}  // namespace pelton::control
