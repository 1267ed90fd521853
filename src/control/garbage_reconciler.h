// SPDX-License-Identifier: Apache-2.0
// Owners and what they own, across all kinds. decide/workload/garbage decides.
#pragma once
#include "control/reconciler.h"

namespace pelton::control {

/// A key is one object of any kind: {namespace, "Kind/name"}.
class GarbageReconciler final : public Reconciler {
 public:
  std::string_view name() const override { return "garbage-collector"; }
  /// All but Events, which nobody owns.
  std::vector<std::string> watched_kinds() const override;
  Keys keys_of(const base::Json& object, const CacheView& view) const override;
  Plan reconcile(const Key& key, const CacheView& view, base::Instant now) const override;
};

}  // namespace pelton::control
