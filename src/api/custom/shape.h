// SPDX-License-Identifier: Apache-2.0
// From any JSON to an object in the form that its custom kind's schema asks for: unknown fields
// away, defaults in. Whether the values are good is check_object.h's business. Pure.
#pragma once
#include <string>
#include <vector>

#include "api/custom/schema.h"
#include "api/registry.h"
#include "base/json.h"
#include "base/status.h"

namespace pelton::api::custom {

/// Brings apiVersion, kind and metadata of the object, and of resources embedded in it, into the
/// form that every kind has. BadRequest where that cannot be done. `unknown` gets the paths of
/// what fell away.
base::Status shape_metadata(const ResourceInfo& resource, base::Json& object,
                            std::vector<std::string>& unknown);

/// Removes what the schema does not know, in place; `unknown` gets the paths.
void prune(const Schema& schema, base::Json& value, std::vector<std::string>& unknown);

/// Fills in defaults, in place, also for nulls where none may be; such nulls without a default go
/// away. Idempotent.
void fill_defaults(const Schema& schema, base::Json& value);

}  // namespace pelton::api::custom
