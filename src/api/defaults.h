// SPDX-License-Identifier: Apache-2.0
// Values that a user need not write.
//
// Upstream's live in code and in JobSet's webhook; ours in api/defaults_table.cc as data, with the
// few that depend on other fields as code. Pure; idempotent.
#pragma once
#include "api/registry.h"
#include "base/json.h"

namespace pelton::api {

/// Fills absent fields of a decoded object, in place. JobSet: as its webhook on create, so call it
/// for creates only where upstream does (`is_create`); the others default on every write.
void apply_defaults(const ResourceInfo& resource, base::Json& object, bool is_create = true);

/// What a write may not choose: a Job's selector and pod labels from its uid (unless
/// spec.manualSelector), a Pod's status.phase Pending and qosClass, a Namespace's phase and
/// finalizer; status is dropped where a subresource owns it. Run on create after metadata.uid is
/// set.
void prepare_for_create(const ResourceInfo& resource, base::Json& object);
/// Keeps from `before` what an update of the main resource (status, uid, creationTimestamp,
/// deletionTimestamp, …) or of /status (all but status) may not touch; counts metadata.generation.
void prepare_for_update(const ResourceInfo& resource, const base::Json& before, base::Json& after,
                        bool is_status_update = false);

/// "Guaranteed", "Burstable", "BestEffort" of a pod's spec.
std::string qos_class(const base::Json& pod_spec);

}  // namespace pelton::api
