// SPDX-License-Identifier: Apache-2.0
// The three patches of the Kubernetes API, as pure functions: object and patch to object.
//
// Errors carry the reason of the Status that the API answers: "BadRequest" (a patch that says
// nothing sensible) or "Invalid" (a JSON patch that does not fit the object).
#pragma once
#include "api/schema.h"
#include "base/json.h"
#include "base/status.h"

namespace pelton::api {

/// RFC 7386: members replace, null removes, objects recurse.
base::Json merge_patch(base::Json object, const base::Json& patch);

/// RFC 6902: add, remove, replace, move, copy, test; all or nothing. At most 10,000 operations.
base::Result<base::Json> json_patch(const base::Json& object, const base::Json& patch);

/// Strategic merge: as a merge patch, but lists with a merge key merge by item, and the directives
/// $patch, $retainKeys, $setElementOrder/x and $deleteFromPrimitiveList/x are obeyed.
base::Result<base::Json> strategic_merge_patch(const base::Json& object, const base::Json& patch,
                                               const TypeInfo& type);

/// The merge patch that makes `after` of `before`: {} where they are equal.
base::Json make_merge_patch(const base::Json& before, const base::Json& after);

}  // namespace pelton::api
