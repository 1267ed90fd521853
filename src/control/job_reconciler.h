// SPDX-License-Identifier: Apache-2.0
// Jobs: their pods and their status. decide/workload/job decides.
#pragma once
#include "control/reconciler.h"
#include "decide/workload/job/observed.h"

namespace pelton::control {

class JobReconciler final : public Reconciler {
 public:
  explicit JobReconciler(decide::workload::JobOptions options = {}) : options_(options) {}
  std::string_view name() const override { return "job-controller"; }
  std::vector<std::string> watched_kinds() const override { return {"Job", "Pod"}; }
  Keys keys_of(const base::Json& object, const CacheView& view) const override;
  /// Also lets go of pods that still hold the finalizer of a Job of this name that is gone.
  Plan reconcile(const Key& key, const CacheView& view, base::Instant now) const override;

 private:
  decide::workload::JobOptions options_;
};

}  // namespace pelton::control
