// SPDX-License-Identifier: Apache-2.0
// RecoveryPolicies: the next generation of each JobSet that names one. decide/recovery decides.
//
// The record is written to the policy's status before anything follows from it; what follows
// (pods deleted, nodes tainted) is done again until it is seen done.
#pragma once
#include <map>
#include <string>

#include "control/observe_recovery.h"
#include "control/reconciler.h"

namespace pelton::control {

class RecoveryReconciler final : public Reconciler {
 public:
  std::string_view name() const override { return "recovery-controller"; }
  std::vector<std::string> watched_kinds() const override {
    return {"JobSet", "Node", "Pod", "RecoveryPolicy"};
  }
  Keys keys_of(const base::Json& object, const CacheView& view) const override;
  Plan reconcile(const Key& key, const CacheView& view, base::Instant now) const override;

 private:
  using Memos = std::map<std::string, RecoveryMemo>;  ///< by uid of the JobSet
  /// What it saves is time: a reconcile comes to the same without.
  mutable std::map<Key, Memos> memos_;
};

}  // namespace pelton::control
