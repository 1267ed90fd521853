// SPDX-License-Identifier: Apache-2.0
// Removes Events when their time is over. decide/workload/event_expiry decides.
#pragma once
#include "control/reconciler.h"
#include "decide/workload/event_expiry/decide_event.h"

namespace pelton::control {

class EventReconciler final : public Reconciler {
 public:
  explicit EventReconciler(base::Duration ttl) : ttl_(ttl) {}
  std::string_view name() const override { return "event-ttl-controller"; }
  std::vector<std::string> watched_kinds() const override { return {"Event"}; }
  Keys keys_of(const base::Json& object, const CacheView&) const override {
    return {own_key(object)};
  }
  Plan reconcile(const Key& key, const CacheView& view, base::Instant now) const override;

 private:
  base::Duration ttl_;
};

}  // namespace pelton::control
