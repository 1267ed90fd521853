// SPDX-License-Identifier: Apache-2.0
// JobSets: their Jobs, their headless Service and their status. decide/workload/jobset decides.
#pragma once
#include "control/reconciler.h"

namespace pelton::control {

class JobSetReconciler final : public Reconciler {
 public:
  std::string_view name() const override { return "jobset-controller"; }
  std::vector<std::string> watched_kinds() const override { return {"Job", "JobSet", "Service"}; }
  Keys keys_of(const base::Json& object, const CacheView& view) const override;
  Plan reconcile(const Key& key, const CacheView& view, base::Instant now) const override;
};

}  // namespace pelton::control
