// SPDX-License-Identifier: Apache-2.0
#include "control/namespace_reconciler.h"

#include "api/object.h"
#include "control/served_kinds.h"
#include "control/workload_plan.h"
#include "decide/workload/namespace_deletion/decide_namespace.h"

namespace pelton::control {

using base::Json;
namespace workload = decide::workload;

std::vector<std::string> NamespaceReconciler::watched_kinds() const {
  return all_kinds();
}

Keys NamespaceReconciler::keys_of(const Json& object, const CacheView& view) const {
  if (object["kind"].as_string() == "Namespace") {
    return api::is_being_deleted(object) ? Keys{own_key(object)} : Keys();
  }
  const std::string& space = api::namespace_of(object);
  const Json* holder = space.empty() ? nullptr : view.get("Namespace", "", space);
  if (holder == nullptr || !api::is_being_deleted(*holder)) return {};
  return {{"", space}};
}

Plan NamespaceReconciler::reconcile(const Key& key, const CacheView& view,
                                    base::Instant now) const {
  workload::NamespaceObserved observed;
  observed.object = view.get("Namespace", "", key.name);
  if (observed.object == nullptr || !api::is_being_deleted(*observed.object)) return {};
  observed.is_complete = true;
  for (const std::string& kind : all_kinds()) {
    if (!is_namespaced_kind(kind)) continue;
    for (const Json* object : view.list(kind, key.name)) observed.contents.push_back(object);
    // The server admits nothing into a namespace that is being deleted.
    if (!is_view_past(view, kind, client::revision_of(*observed.object),
                      now - api::deletion_time_of(*observed.object), base::Duration::seconds(5))) {
      observed.is_complete = false;
    }
  }
  return to_plan(workload::decide_namespace(observed));
}

}  // namespace pelton::control
