// SPDX-License-Identifier: Apache-2.0
// OpenAPI v3 documents, made from the tables: what `kubectl explain`, `kubectl apply` and
// client-side validation read. Types and fields, no descriptions. Pure.
#pragma once
#include <string>

#include "api/registry.h"
#include "base/json.h"

namespace pelton::api {

/// The document of one group-version, as under /openapi/v3/api/v1 or /openapi/v3/apis/batch/v1.
base::Json openapi_v3(const Registry& registry, const GroupVersion& group_version);
/// The index under /openapi/v3: {"paths": {"api/v1": {"serverRelativeURL": …?hash=…}}}.
base::Json openapi_v3_index(const Registry& registry);
/// The hash that stands in that URL; changes with the document.
std::string openapi_v3_hash(const Registry& registry, const GroupVersion& group_version);

}  // namespace pelton::api
