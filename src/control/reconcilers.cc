// SPDX-License-Identifier: Apache-2.0
#include "control/reconcilers.h"

#include "control/endpoint_slice_reconciler.h"
#include "control/event_reconciler.h"
#include "control/garbage_reconciler.h"
#include "control/job_reconciler.h"
#include "control/jobset_reconciler.h"
#include "control/machine_reconciler.h"
#include "control/namespace_reconciler.h"
#include "control/node_lifecycle_reconciler.h"
#include "control/recovery_reconciler.h"
#include "control/scheduler_reconciler.h"
#include "control/service_account_reconciler.h"

namespace pelton::control {

std::vector<std::unique_ptr<Reconciler>> make_reconcilers(base::Instant now,
                                                          ReconcilerOptions options) {
  options.node_lifecycle.listening_since = now;
  std::vector<std::unique_ptr<Reconciler>> all;
  all.push_back(std::make_unique<SchedulerReconciler>());
  all.push_back(std::make_unique<JobSetReconciler>());
  all.push_back(std::make_unique<JobReconciler>(options.job));
  all.push_back(std::make_unique<RecoveryReconciler>());
  all.push_back(std::make_unique<EndpointSliceReconciler>());
  all.push_back(std::make_unique<NodeLifecycleReconciler>(options.node_lifecycle));
  all.push_back(std::make_unique<GarbageReconciler>());
  all.push_back(std::make_unique<NamespaceReconciler>());
  all.push_back(std::make_unique<ServiceAccountReconciler>());
  if (!options.offers.empty()) {
    all.push_back(std::make_unique<MachineReconciler>(std::move(options.offers)));
  }
  if (options.event_ttl) all.push_back(std::make_unique<EventReconciler>(*options.event_ttl));
  return all;
}

}  // namespace pelton::control
