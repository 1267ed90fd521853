// SPDX-License-Identifier: Apache-2.0
// Services with a selector: their EndpointSlices. decide/workload/endpoints decides.
#pragma once
#include "control/reconciler.h"

namespace pelton::control {

class EndpointSliceReconciler final : public Reconciler {
 public:
  std::string_view name() const override { return "endpoint-slice-controller"; }
  std::vector<std::string> watched_kinds() const override {
    return {"EndpointSlice", "Pod", "Service"};
  }
  Keys keys_of(const base::Json& object, const CacheView& view) const override;
  Plan reconcile(const Key& key, const CacheView& view, base::Instant now) const override;
};

}  // namespace pelton::control
