// SPDX-License-Identifier: Apache-2.0
// What the server itself says about a CustomResourceDefinition: in its status and in warnings.
// Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/time.h"

namespace pelton::api::custom {

/// Holds a definition that is being deleted until its objects are gone.
inline constexpr std::string_view kCleanupFinalizer = "customresourcecleanup.apiextensions.k8s.io";

/// Whether the object is a CustomResourceDefinition.
bool is_definition(const base::Json& object);

/// Settles status.acceptedNames, storedVersions and the conditions NamesAccepted, Established and,
/// of groups under k8s.io, KubernetesAPIApprovalPolicyConformant. `others`: all other definitions,
/// whose names are taken.
void settle_status(base::Json& definition, const std::vector<const base::Json*>& others,
                   base::Instant now);

/// On the first request to delete it: the finalizer, and the condition Terminating.
void mark_terminating(base::Json& definition, base::Instant now);
/// While its objects cannot all be deleted yet.
void note_waiting(base::Json& definition, size_t objects_left, base::Instant now);

/// What a user of the definition must know that is other than upstream: rules in CEL that are not
/// evaluated, a conversion webhook that is not called. And, as upstream, unknown formats.
std::vector<std::string> warnings_about(const base::Json& definition);

}  // namespace pelton::api::custom
