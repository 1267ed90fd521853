// SPDX-License-Identifier: Apache-2.0
// What the server offers, in the two forms that clients ask for: aggregated (one document for /api
// and one for /apis) and legacy (an index, then one list per group-version). Pure.
#pragma once
#include <optional>
#include <string_view>

#include "api/registry.h"
#include "apiserver/media_type.h"
#include "base/json.h"

namespace pelton::apiserver {

/// The document under /api, /api/v1, /apis, /apis/GROUP or /apis/GROUP/VERSION; nullopt where the
/// path is none of these or the group is unknown.
std::optional<base::Json> discovery_document(const api::Registry& registry, std::string_view path,
                                             AnswerForm form);

/// What /version answers.
base::Json version_document();

}  // namespace pelton::apiserver
