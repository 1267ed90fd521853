// SPDX-License-Identifier: Apache-2.0
// What a delete does to an object: remove it, or only mark it and let others finish.
//
// A pod on a node is marked with the time it may still take; the node's agent deletes it for good
// with grace 0. An object with finalizers is marked and goes when the last finalizer goes. A
// namespace is marked and goes when its spec.finalizers are empty. Pure.
#pragma once
#include <optional>
#include <string>

#include "api/registry.h"
#include "apiserver/api_status.h"
#include "base/json.h"
#include "base/time.h"

namespace pelton::apiserver {

/// metav1.DeleteOptions, as far as it decides something.
struct DeleteOptions {
  std::optional<int64_t> grace_seconds;
  std::string propagation_policy;  ///< "", "Background", "Foreground", "Orphan"
  std::string uid;                 ///< precondition; "" is none
  std::string resource_version;    ///< precondition; "" is none
};

struct DeletionStep {
  enum class Act : uint8_t {
    Remove,  ///< take the object out of the store
    Write,   ///< store `object`, which is now marked
    Keep,    ///< nothing to do: it is marked already
  };
  Act act = Act::Remove;
  base::Json object;
};

/// Decides one delete of the stored `object`. Conflict where a precondition does not hold.
base::Result<DeletionStep> decide_deletion(const api::ResourceInfo& resource,
                                           const base::Json& object, const DeleteOptions& options,
                                           base::Instant now);

/// Whether a marked object, as it would be stored, has nothing left that holds it: it is removed
/// instead of written.
bool is_deletion_finished(const api::ResourceInfo& resource, const base::Json& object);

/// Reads the DeleteOptions object of a body (null: none). BadRequest for a wrong kind or value.
base::Status read_delete_options(const base::Json& body, DeleteOptions& options);

/// BadRequest for a policy that there is not.
base::Status check_propagation_policy(const std::string& policy);

}  // namespace pelton::apiserver
