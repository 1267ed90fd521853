// SPDX-License-Identifier: Apache-2.0
// Namespaces that are being deleted: empties them. decide/workload/namespace_deletion decides.
#pragma once
#include "control/reconciler.h"

namespace pelton::control {

class NamespaceReconciler final : public Reconciler {
 public:
  std::string_view name() const override { return "namespace-controller"; }
  std::vector<std::string> watched_kinds() const override;
  Keys keys_of(const base::Json& object, const CacheView& view) const override;
  Plan reconcile(const Key& key, const CacheView& view, base::Instant now) const override;
};

}  // namespace pelton::control
