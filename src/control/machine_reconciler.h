// SPDX-License-Identifier: Apache-2.0
// Asks for machines: one key for the whole cluster; decide/capacity/ decides.
#pragma once
#include <vector>

#include "control/reconciler.h"

namespace pelton::control {

/// Nominates unschedulable pods for machines that can be had (status.nominatedNodeName and the
/// event TriggeredScaleUp), and asks for those machines until their nodes are Ready.
class MachineReconciler final : public Reconciler {
 public:
  /// `offers`: see provider::Provider::offers().
  explicit MachineReconciler(std::vector<base::Json> offers) : offers_(std::move(offers)) {}
  std::string_view name() const override { return "machine-controller"; }
  std::vector<std::string> watched_kinds() const override;
  Keys keys_of(const base::Json& object, const CacheView& view) const override;
  Plan reconcile(const Key& key, const CacheView& view, base::Instant now) const override;

 private:
  const std::vector<base::Json> offers_;
};

}  // namespace pelton::control
