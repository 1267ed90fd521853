// SPDX-License-Identifier: Apache-2.0
#include "control/service_account_reconciler.h"

#include "api/object.h"
#include "control/workload_plan.h"
#include "decide/workload/service_account/decide_default_account.h"

namespace pelton::control {

using base::Json;
namespace workload = decide::workload;

Keys ServiceAccountReconciler::keys_of(const Json& object, const CacheView&) const {
  if (object["kind"].as_string() == "Namespace") return {own_key(object)};
  if (api::name_of(object) != workload::kDefaultAccount) return {};
  return {{"", api::namespace_of(object)}};
}

Plan ServiceAccountReconciler::reconcile(const Key& key, const CacheView& view,
                                         base::Instant) const {
  const Json* space = view.get("Namespace", "", key.name);
  if (space == nullptr) return {};
  return to_plan(workload::decide_default_account(
      *space, view.get("ServiceAccount", key.name, workload::kDefaultAccount)));
}

}  // namespace pelton::control
