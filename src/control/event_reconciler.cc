// SPDX-License-Identifier: Apache-2.0
#include "control/event_reconciler.h"

#include "control/workload_plan.h"

namespace pelton::control {

Plan EventReconciler::reconcile(const Key& key, const CacheView& view, base::Instant now) const {
  const base::Json* event = view.get("Event", key.namespace_name, key.name);
  if (event == nullptr) return {};
  return to_plan(decide::workload::decide_event(*event, ttl_, now));
}

}  // namespace pelton::control
