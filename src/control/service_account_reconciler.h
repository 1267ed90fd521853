// SPDX-License-Identifier: Apache-2.0
// The default ServiceAccount of each Namespace. decide/workload/service_account decides.
#pragma once
#include "control/reconciler.h"

namespace pelton::control {

class ServiceAccountReconciler final : public Reconciler {
 public:
  std::string_view name() const override { return "serviceaccount-controller"; }
  std::vector<std::string> watched_kinds() const override {
    return {"Namespace", "ServiceAccount"};
  }
  /// Keys are namespaces.
  Keys keys_of(const base::Json& object, const CacheView& view) const override;
  Plan reconcile(const Key& key, const CacheView& view, base::Instant now) const override;
};

}  // namespace pelton::control
