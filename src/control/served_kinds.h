// SPDX-License-Identifier: Apache-2.0
// Kinds by what those controllers need that look at everything: garbage and namespaces.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "client/cache.h"

namespace pelton::control {

/// Every stored kind but CustomResourceDefinition, each once, sorted. Custom kinds are not among
/// them: the API server itself deletes their objects with their namespace.
std::vector<std::string> all_kinds();
bool is_namespaced_kind(std::string_view kind);

/// Whether the view of `kind` shows everything that happened up to `revision`. A kind in which
/// nothing happens says so late, so when `since` is `lag_max` ago it is taken for granted: which a
/// watch that is cut for so long belies, so ask the server (ConfirmAbsent) before doing harm.
bool is_view_past(const client::Cache& view, std::string_view kind, uint64_t revision,
                  base::Duration since, base::Duration lag_max);

}  // namespace pelton::control
