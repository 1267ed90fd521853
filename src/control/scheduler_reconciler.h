// SPDX-License-Identifier: Apache-2.0
// The scheduler: one key for the whole cluster; decide/placement/ decides.
#pragma once
#include "control/reconciler.h"

namespace pelton::control {

/// Binds pending pods whose spec.schedulerName is "default-scheduler" (or empty); writes the
/// condition PodScheduled and the event FailedScheduling where a pod must wait.
class SchedulerReconciler final : public Reconciler {
 public:
  std::string_view name() const override { return "default-scheduler"; }
  std::vector<std::string> watched_kinds() const override;
  Keys keys_of(const base::Json& object, const CacheView& view) const override;
  Plan reconcile(const Key& key, const CacheView& view, base::Instant now) const override;
};

}  // namespace pelton::control
